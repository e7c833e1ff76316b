"""The mean over scales and flips equals one computed by hand, in less."""
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmdet.registry import TRANSFORMS
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from torch.utils._python_dispatch import TorchDispatchMode

from projects.oneformer.models import (OneFormerFusionHead, OneFormerTTAModel,
                                       mask_resize)
from projects.oneformer.models.oneformer_tta import FLIPPED_AXES, flip_back

from . import tiny

NUM_CLASSES = len(tiny.CLASSES)


def pipeline(scales=(0.5, 1.5), directions=('horizontal', )):
    """Views of an image: sizes, each as it is and flipped every way."""
    init_default_scope('mmdet')
    flips = [dict(type='RandomFlip', prob=0.)]
    flips += [dict(type='RandomFlip', prob=1., direction=d)
              for d in directions]  # yapf: disable
    return TRANSFORMS.build(
        dict(
            type='TestTimeAug',
            transforms=[[
                dict(type='Resize', scale_factor=scale, keep_ratio=False)
                for scale in scales
            ], flips, [dict(type='PackDetInputs', meta_keys=META_KEYS)]]))


META_KEYS = ('img_path', 'ori_shape', 'img_shape', 'flip', 'flip_direction')


def views_of(*sizes, **kwargs):
    """A batch of random images of (height, width), as a loader makes it."""
    rng = np.random.default_rng(0)
    transform = pipeline(**kwargs)
    return pseudo_collate([
        transform(
            dict(
                img=rng.integers(0, 256, (*size, 3), np.uint8),
                img_path=f'{i}.jpg',
                img_shape=size,
                ori_shape=size)) for i, size in enumerate(sizes)
    ])


@torch.no_grad()
def plain_scores(model, inputs, sample):
    """Scores (K, H, W) of one image by the steps of the official model."""
    data = model.data_preprocessor(
        dict(inputs=[inputs], data_samples=[sample]), False)
    sample = data['data_samples'][0]
    mask_cls, masks = model.panoptic_head.predict(
        model.extract_feat(data['inputs']), [['semantic']])
    masks = F.interpolate(masks[0], sample.batch_input_shape, mode='bilinear')
    masks = masks[..., :sample.img_shape[0], :sample.img_shape[1]]
    masks = F.interpolate(masks, sample.ori_shape, mode='bilinear')
    scores = torch.einsum('qc,qhw->chw', mask_cls[0, 0].softmax(-1)[..., :-1],
                          masks[0].sigmoid())
    if sample.flip:
        scores = scores.flip(FLIPPED_AXES[sample.flip_direction])
    return scores


@pytest.fixture(scope='module')
def model():
    return tiny.build()


@pytest.mark.parametrize('tile_values', [3000, 1 << 21])
def test_equals_the_mean_of_separate_passes(model, monkeypatch, tile_values):
    data = views_of((90, 140), (104, 80))
    assert len(data['inputs']) == 4
    expected = [
        torch.stack([
            plain_scores(model, inputs[i], samples[i].clone())
            for inputs, samples in zip(data['inputs'], data['data_samples'])
        ]) for i in range(2)
    ]
    monkeypatch.setattr(mask_resize, 'TILE_VALUES', tile_values)
    tta = OneFormerTTAModel(model)
    # of one view alone they differ, else the mean would not be tested
    assert all(views.std(dim=0).max() > 0.01 for views in expected)
    # alone: in a batch, the padding of the larger image would reach the other
    for i in range(2):
        single = {key: [[view[i]] for view in data[key]] for key in data}
        actual, = tta.mean_scores(single)
        torch.testing.assert_close(
            actual, expected[i].mean(dim=0), atol=1e-5, rtol=1e-5)
        sample, = tta.test_step(single)
        assert sample.img_path == f'{i}.jpg'
        labels = sample.pred_sem_seg.sem_seg
        assert labels.dtype == torch.int32
        assert labels.shape == (1, *sample.ori_shape)
        assert torch.equal(labels[0], actual.argmax(dim=0).int())


@pytest.mark.parametrize('direction', FLIPPED_AXES)
def test_tiles_of_a_flipped_image_go_back(direction):
    scores = torch.rand(2, 5, 7)
    flipped = scores.flip(FLIPPED_AXES[direction])
    back = torch.zeros_like(scores)
    for top, bottom in ((0, 2), (2, 5)):
        for left, right in ((0, 3), (3, 6), (6, 7)):
            tile = slice(top, bottom), slice(left, right)
            rows, columns, part = flip_back(*tile, flipped[:, tile[0],
                                                           tile[1]], (5, 7),
                                            direction)
            back[:, rows, columns] += part
    assert torch.equal(back, scores)


class ImageModel(torch.nn.Module):
    """Takes the channels of an image for its masks, one class each."""
    num_classes = 3
    test_cfg = dict(task_token=None)

    def __init__(self):
        super().__init__()
        self.panoptic_fusion_head = OneFormerFusionHead(
            num_things_classes=2, num_stuff_classes=1)
        self.panoptic_head = SimpleNamespace(predict=self.predict)
        self.tasks = []

    def test_step(self, data):
        raise AssertionError('its results have no scores')

    def data_preprocessor(self, data, training):
        for sample in data['data_samples']:
            sample.set_metainfo(dict(batch_input_shape=sample.img_shape))
        return dict(data, inputs=torch.stack(data['inputs']).float())

    def extract_feat(self, inputs):
        return inputs / 25 - 5

    def predict(self, features, tasks):
        self.tasks += tasks
        mask_cls = 50 * torch.eye(3, 4).repeat(len(features), 1, 1, 1)
        return mask_cls, features[:, None]


def image_views(**kwargs):
    data = views_of((6, 9), scales=(1., ), **kwargs)
    return OneFormerTTAModel(ImageModel()), data


def test_flipped_views_agree_with_the_image():
    """A model that turns with the image answers as without the flips."""
    tta, data = image_views(directions=())
    plain, = tta.mean_scores(data)
    image = data['inputs'][0][0]
    torch.testing.assert_close(plain, torch.sigmoid(image / 25 - 5))
    assert (plain - plain.flip(2)).abs().max() > 0.5
    tta, data = image_views(directions=tuple(FLIPPED_AXES))
    assert len(data['inputs']) == 4
    assert torch.equal(data['inputs'][3][0], image.flip(1, 2))
    actual, = tta.mean_scores(data)
    torch.testing.assert_close(actual, plain)


def test_the_token_is_that_of_the_task_unless_told():
    tta, data = image_views()
    tta.test_step(data)
    assert tta.module.tasks == [['semantic']] * 2
    tta.module.tasks.clear()
    tta.module.test_cfg = dict(task_token='panoptic')
    tta.test_step(data)
    assert tta.module.tasks == [['panoptic']] * 2


def test_other_mergers_are_told_where_to_go(model):
    with pytest.raises(NotImplementedError, match='call test_step'):
        OneFormerTTAModel(model).merge_preds([])


class LargeStorages(TorchDispatchMode):
    """Counts the memory blocks of at least ``size`` bytes that are made."""

    def __init__(self, size):
        super().__init__()
        self.size = size
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **kwargs or {})
        for value in result if isinstance(result, (list, tuple)) else [result]:
            if isinstance(value, torch.Tensor):
                storage = value.untyped_storage()
                # held, so that its place is not used again
                if storage.nbytes() >= self.size and not any(
                        storage.data_ptr() == other.data_ptr()
                        for other in self.seen):
                    self.seen.append(storage)
        return result


@pytest.mark.parametrize('directions', [(), ('horizontal', 'vertical')])
def test_one_tensor_of_scores_whatever_the_views(model, monkeypatch,
                                                 directions):
    size = 600, 800
    data = views_of((60, 80), scales=(0.5, 1.), directions=directions)
    for view in data['data_samples']:  # results ten times as large
        view[0].set_metainfo(dict(ori_shape=size))
    monkeypatch.setattr(mask_resize, 'TILE_VALUES', 1 << 16)
    bytes_of_scores = 4 * NUM_CLASSES * size[0] * size[1]
    with LargeStorages(bytes_of_scores) as mode:
        scores, = OneFormerTTAModel(model).mean_scores(data)
    assert [storage.nbytes() for storage in mode.seen] == [bytes_of_scores]
    assert mode.seen[0].data_ptr() == scores.untyped_storage().data_ptr()
    # nor do its parts add up to another one
    with LargeStorages(bytes_of_scores // 4) as mode:
        OneFormerTTAModel(model).mean_scores(data)
    assert len(mode.seen) == 1
