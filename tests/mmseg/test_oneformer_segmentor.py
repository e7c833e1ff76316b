"""The same weights in MMSegmentation: the same class maps."""
import os
import subprocess
import sys
from pathlib import Path

import cv2
import mmseg
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmseg.apis import MMSegInferencer
from mmseg.datasets import ADE20KDataset, CityscapesDataset
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from projects.oneformer.mmseg import OneFormerSegmentor, OneFormerTTAModel
from tests.models import tiny

#: In the order of a data set; things do not stand first.
CATEGORIES = [
    dict(id=4, name='sky', isthing=0, color=[9, 9, 200]),
    dict(id=2, name='cat', isthing=1, color=[200, 9, 9]),
    dict(id=9, name='brick wall', isthing=0, color=[9, 200, 9]),
    dict(id=1, name='dog', isthing=1, color=[200, 200, 9]),
    dict(id=3, name='polar bear', isthing=1, color=[9, 200, 200]),
]
#: The label of each of them in OneFormer.
LABELS = (3, 0, 4, 1, 2)
RESIZE = dict(type='Resize', scale=(192, 64), keep_ratio=True)
PIPELINE = [dict(type='LoadImageFromFile'), RESIZE]
META = ('img_path', 'ori_shape', 'img_shape')


def fields(size, seed=0):
    """Smooth fields of colour, uint8 of shape (H, W, 3)."""
    image = np.random.default_rng(seed).integers(0, 255, (8, 11, 3))
    return cv2.resize(image.astype(np.uint8), size[::-1])


@pytest.fixture(scope='module')
def detector():
    """A model for which no class is much more common than another."""
    model = tiny.build()
    head = model.panoptic_head
    head.cls_embed.weight.data *= 10
    head.mask_embed[-1].weight.data *= 5  # masks with clear borders
    image = torch.from_numpy(fields((64, 96))).permute(2, 0, 1)[None]
    with torch.no_grad():
        features = model.extract_feat((image.flip(1) - 120.) / 58)
        scores = head.predict(features, [['semantic']])[0]
        head.cls_embed.bias -= scores[0, 0].mean(0)
    return model


@pytest.fixture(autouse=True)
def scope():
    """Configs name what MMSegmentation has; elsewhere it is MMDetection."""
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


def segmentor(detector, categories=CATEGORIES, **test_cfg):
    """A segmentor with the weights of a detector."""
    config = tiny.tiny_config()
    config.pop('type')
    config.test_cfg.update(test_cfg)
    model = OneFormerSegmentor(categories=categories, **config).eval()
    model.load_state_dict(detector.state_dict())
    return model


def picture(path, size=(75, 110), seed=0):
    cv2.imwrite(str(path), fields(size, seed))
    return str(path)


def packed(*paths):
    """Pictures as MMSegmentation loads them."""
    pipeline = Compose([*PIPELINE, dict(type='PackSegInputs')])
    return pseudo_collate([pipeline(dict(img_path=path)) for path in paths])


def class_maps(detector, *paths):
    """What `OneFormer` answers, in the order of the data set."""
    with DefaultScope.overwrite_default_scope('mmdet'):
        pipeline = Compose(
            [*PIPELINE, dict(type='PackDetInputs', meta_keys=META)])
        batch = pseudo_collate(
            [pipeline(dict(img_path=path)) for path in paths])
        for sample in batch['data_samples']:
            sample.set_metainfo(dict(task='semantic'))
        results = detector.test_step(batch)
    classes = torch.tensor([LABELS.index(i) for i in range(5)])
    return [classes[r.pred_sem_seg.sem_seg[0].long()] for r in results]


def test_class_maps_are_those_of_the_detector(detector, tmp_path):
    """Also in a batch of sizes that are padded differently."""
    paths = [
        picture(tmp_path / 'a.png'),
        picture(tmp_path / 'b.png', (64, 130), seed=1)
    ]
    results = segmentor(detector).test_step(packed(*paths))
    expected = class_maps(detector, *paths)
    for result, class_map in zip(results, expected):
        assert torch.equal(result.pred_sem_seg.data[0], class_map)
        assert len(result.seg_logits.data) == 5
        assert len(class_map.unique()) > 1


def test_state_dicts_are_the_same(detector):
    state = segmentor(detector).state_dict()
    assert state.keys() == detector.state_dict().keys()


def test_inferencer_takes_the_checkpoint_as_it_is(detector, tmp_path):
    path = picture(tmp_path / 'a.png')
    meta = dict(dataset_meta=dict(classes=tiny.CLASSES))
    torch.save(
        dict(state_dict=detector.state_dict(), meta=meta),
        tmp_path / 'model.pth')
    model = dict(
        tiny.tiny_config(), type='OneFormerSegmentor', categories=CATEGORIES)
    cfg = Config(
        dict(
            default_scope='mmseg',
            model=model,
            test_dataloader=dict(
                dataset=dict(
                    pipeline=[*PIPELINE, dict(type='PackSegInputs')])),
            visualizer=dict(type='SegLocalVisualizer', name='segmentor')))
    cfg.dump(tmp_path / 'config.py')
    inferencer = MMSegInferencer(
        str(tmp_path / 'config.py'),
        str(tmp_path / 'model.pth'),
        device='cpu',
        show_progress=False)
    found = inferencer(path, return_vis=True)
    expected = class_maps(detector, path)[0]
    assert np.array_equal(found['predictions'], expected)
    assert found['visualization'].shape == (75, 110, 3)
    assert inferencer.model.dataset_meta == dict(
        classes=[c['name'] for c in CATEGORIES],
        palette=[tuple(c['color']) for c in CATEGORIES])


def test_windows_are_averaged(detector):
    """Three windows of 64 x 64 on 64 x 128, each of which stands alone."""
    model = segmentor(
        detector, mode='slide', crop_size=(64, 64), stride=(64, 32))
    image = torch.randn(1, 3, 64, 128)
    sample = SegDataSample(
        metainfo=dict(img_shape=(64, 120), ori_shape=(64, 120)))
    with torch.no_grad():
        result = model.predict(image, [sample])[0]
        windows = [
            model.encode_decode(image[..., x:x + 64], [])[0]
            for x in (0, 32, 64)
        ]
    expected = torch.cat([
        windows[0][..., :32],
        (windows[0][..., 32:] + windows[1][..., :32]) / 2,
        (windows[1][..., 32:] + windows[2][..., :32]) / 2, windows[2][..., 32:]
    ], -1)[..., :120]
    scores = result.seg_logits.data
    assert tiny.relative(scores, expected) < 1e-6
    assert torch.equal(result.pred_sem_seg.data[0], scores.argmax(0))


def test_a_window_as_large_as_the_image_is_the_image(detector, tmp_path):
    batch = packed(picture(tmp_path / 'a.png', (64, 96)))
    whole = segmentor(detector).test_step(batch)[0]
    slide = segmentor(
        detector, mode='slide', crop_size=(128, 128),
        stride=(64, 64)).test_step(batch)[0]
    assert torch.equal(whole.seg_logits.data, slide.seg_logits.data)


def test_windows_must_fit_the_network(detector):
    with pytest.raises(ValueError, match='multiples of 32'):
        segmentor(detector, mode='slide', crop_size=(64, 70), stride=(9, 9))


@pytest.mark.parametrize('direction, dims', [('horizontal', (1, )),
                                             ('vertical', (0, )),
                                             ('diagonal', (0, 1))])
def test_flips_are_undone(detector, direction, dims):
    scores = torch.rand(5, 4, 6)
    sample = SegDataSample(metainfo=dict(flip=True, flip_direction=direction))
    model = segmentor(detector)
    result = model.postprocess_result([scores], [sample])[0]
    expected = scores.argmax(0).flip(dims)
    assert torch.equal(result.pred_sem_seg.data[0], expected)


def test_scores_are_averaged_over_views(detector, tmp_path):
    """And not their softmax, as `SegTTAModel` has it."""
    path = picture(tmp_path / 'a.png')
    pipeline = Compose([
        PIPELINE[0],
        dict(
            type='TestTimeAug',
            transforms=[[
                RESIZE, dict(RESIZE, scale=(192, 96))
            ], [dict(type='RandomFlip', prob=prob) for prob in (0., 1.)],
                        [dict(type='PackSegInputs')]])
    ])
    batch = pseudo_collate([pipeline(dict(img_path=path))])
    model = segmentor(detector)
    flips = [s[0].flip for s in batch['data_samples']]
    assert flips == [False, True, False, True]
    views = [
        model.test_step(dict(inputs=inputs, data_samples=samples))[0]
        for inputs, samples in zip(batch['inputs'], batch['data_samples'])
    ]
    expected = torch.stack([v.seg_logits.data for v in views]).mean(0)
    merged = OneFormerTTAModel(model).test_step(batch)[0]
    assert tiny.relative(merged.seg_logits.data, expected) < 1e-6
    assert torch.equal(merged.pred_sem_seg.data[0],
                       merged.seg_logits.data.argmax(0))
    assert merged.seg_logits.data.shape == (5, 75, 110)


@pytest.mark.parametrize('dataset, categories',
                         [(ADE20KDataset, 'ade20k'),
                          (CityscapesDataset, 'cityscapes')])
def test_class_order_is_that_of_the_data_set(dataset, categories):
    config = tiny.tiny_config()
    config.pop('type')
    meta = OneFormerSegmentor(categories=categories, **config).dataset_meta
    ours = [name.split(',')[0] for name in meta['classes']]
    theirs = [name.strip() for name in dataset.METAINFO['classes']]
    assert len(ours) == len(theirs)
    # ten classes of ADE20K have other names there: tub, bathtub
    assert sum(a == b for a, b in zip(ours, theirs)) >= len(ours) - 10


def test_training_is_done_elsewhere(detector):
    with pytest.raises(NotImplementedError, match='tools/train.py'):
        segmentor(detector)(torch.zeros(1, 3, 64, 64), [], mode='loss')


def small_ade20k(root, folder):
    """The config of ADE20K with a small model and two images of its own."""
    cfg = Config.fromfile(root /
                          'configs/mmseg/oneformer_r50_ade20k-512x512.py')
    cfg.work_dir = str(folder / 'work')
    cfg.model = dict(
        tiny.tiny_config(), type='OneFormerSegmentor', categories='ade20k')
    data = folder / 'data'
    for kind in ('images', 'annotations'):
        (data / kind / 'validation').mkdir(parents=True)
    for i in range(2):
        size = (90, 70 + i)
        picture(data / f'images/validation/{i}.jpg', size, seed=i)
        write_labels(data, i, np.zeros(size, np.uint8))
    cfg.test_dataloader.dataset.data_root = str(data)
    cfg.test_dataloader.dataset.pipeline[1].scale = (192, 64)
    cfg.test_dataloader.update(num_workers=0, persistent_workers=False)
    return cfg


@pytest.mark.parametrize('tta', [False, True])
def test_runner_measures_iou(root, tmp_path, tta):
    """On annotations made of the model's own answers: all are right."""
    cfg = small_ade20k(root, tmp_path)
    cfg.experiment_name = f'runner-{tta}'
    if tta:
        cfg.tta_pipeline[1].transforms[0] = [
            dict(cfg.test_dataloader.dataset.pipeline[1], scale=scale)
            for scale in ((192, 64), (192, 96))
        ]
        cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
        cfg.tta_model.module = cfg.model
        cfg.model = cfg.tta_model
    runner = Runner.from_cfg(cfg)
    runner.model.eval()
    with torch.no_grad():
        for i, batch in enumerate(runner.test_dataloader):
            labels = runner.model.test_step(batch)[0].pred_sem_seg.data[0]
            write_labels(tmp_path / 'data', i,
                         labels.numpy().astype(np.uint8) + 1)
    assert runner.test()['mIoU'] == 100


@pytest.mark.slow
def test_the_documented_command_runs(root, tmp_path):
    """MMSegmentation's own tool, with test-time augmentation."""
    cfg = small_ade20k(root, tmp_path)
    for step in cfg.tta_pipeline[1].transforms[0]:
        step.scale = (256, 64)
    cfg.dump(tmp_path / 'config.py')
    model = MODELS.build(cfg.model)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'model.pth')
    tool = Path(mmseg.__path__[0]) / '.mim/tools/test.py'
    result = subprocess.run([
        sys.executable,
        str(tool),
        str(tmp_path / 'config.py'),
        str(tmp_path / 'model.pth'), '--tta'
    ],
                            cwd=root,
                            env=dict(os.environ, PYTHONPATH='.'),
                            capture_output=True,
                            text=True)
    assert result.returncode == 0, result.stderr
    assert 'mIoU: ' in result.stdout + result.stderr


def write_labels(folder, index, labels):
    cv2.imwrite(str(folder / f'annotations/validation/{index}.png'), labels)
