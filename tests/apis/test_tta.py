"""The views of an image that follow from a config."""
import numpy as np
import pytest
from mmdet.registry import TRANSFORMS
from mmengine.config import Config
from mmengine.model import BaseTTAModel
from mmengine.registry import init_default_scope
from torch import nn

from projects.oneformer.apis import augment_test_data, averaging_model
from projects.oneformer.models import OneFormerTTAModel

PACK = dict(type='PackDetInputs', meta_keys=('ori_shape', 'img_shape'))
RESIZE = dict(type='Resize', scale=(80, 40), keep_ratio=True, backend='pillow')


def config(*pipeline, **settings):
    return Config(
        dict(
            test_dataloader=dict(
                dataset=dict(type='PanopticDataset', pipeline=pipeline)),
            **settings))


def views(cfg, size):
    """What the test pipeline, but for the loading, makes of an image."""
    init_default_scope('mmdet')
    pipeline = cfg.test_dataloader.dataset.pipeline
    results = dict(img=np.zeros((*size, 3), np.uint8), ori_shape=size)
    for step in pipeline:
        if step.type != 'LoadImageFromFile':
            results = TRANSFORMS.build(step)(results)
    return results['data_samples']


@pytest.mark.parametrize('name, short_edges', [
    ('ade20k_panoptic', (256, 384, 512, 640, 768, 896)),
    ('ade20k_panoptic_640', (320, 480, 640, 800, 960, 1120)),
    ('ade20k_panoptic_896', (448, 672, 896, 1120, 1344, 1568)),
    ('ade20k_panoptic_1280', (640, 960, 1280, 1600, 1920, 2240)),
    ('cityscapes_panoptic', (512, 768, 1024, 1280, 1536, 1792)),
    ('mapillary_panoptic', (512, 768, 1024, 1280, 1536, 1792)),
])
def test_views_are_the_official_ones(root, name, short_edges):
    cfg = Config.fromfile(root / f'configs/_base_/datasets/{name}.py')
    meta_keys = cfg.test_dataloader.dataset.pipeline[-1].meta_keys
    augment_test_data(cfg)
    augment, = [
        step for step in cfg.test_dataloader.dataset.pipeline
        if step.type == 'TestTimeAug'
    ]
    assert all(step.backend == 'pillow' for step in augment.transforms[0])
    samples = views(cfg, (100, 110))
    long_edges = [round(1.1 * edge) for edge in short_edges]
    assert [sample.img_shape for sample in samples[::2]
            ] == [sample.img_shape for sample in samples[1::2]]
    for sample, *expected in zip(samples[::2], short_edges, long_edges):
        # the test size is a whole number of pixels too
        assert sample.img_shape == pytest.approx(expected, abs=1)
    assert [sample.flip for sample in samples] == [False, True] * 6
    assert {sample.get('flip_direction')
            for sample in samples} == {None, 'horizontal'}
    # what the metrics read
    pack, = augment.transforms[2]
    assert set(meta_keys) < set(pack.meta_keys)


def test_views_go_on_from_the_test_size():
    cfg = config(dict(type='LoadImageFromFile'), RESIZE, PACK)
    augment_test_data(cfg)
    samples = views(cfg, (60, 90))
    # 60 x 90 becomes 40 x 60
    assert [sample.img_shape
            for sample in samples[::2]] == [(20, 30), (30, 45), (40, 60),
                                            (50, 75), (60, 90), (70, 105)]
    assert samples[0].ori_shape == (60, 90)


def test_without_a_test_size_views_go_on_from_the_image():
    cfg = config(dict(type='LoadImageFromFile'), PACK)
    augment_test_data(cfg)
    shapes = [sample.img_shape for sample in views(cfg, (50, 30))]
    assert shapes[0] == (25, 15) and shapes[-1] == (88, 53)


def augment(*transforms):
    return dict(type='TestTimeAug', transforms=transforms)


FLIP = dict(type='RandomFlip', prob=1.)


def test_the_config_has_the_last_word():
    pipeline = [dict(type='LoadImageFromFile'), augment([RESIZE], [PACK])]
    cfg = config(RESIZE, PACK, tta_pipeline=pipeline)
    augment_test_data(cfg)
    assert cfg.test_dataloader.dataset.pipeline == pipeline
    # a copy, which building the pipeline may change
    cfg.test_dataloader.dataset.pipeline[1].transforms[0][0] = None
    assert cfg.tta_pipeline == pipeline


def test_wrapped_data_sets_are_reached():
    part = config(RESIZE, PACK).test_dataloader.dataset
    cfg = Config(
        dict(
            test_dataloader=dict(
                dataset=dict(type='MixedDataset', datasets=[part, part]))))
    augment_test_data(cfg)
    assert [
        dataset.pipeline[-1].type
        for dataset in cfg.test_dataloader.dataset.datasets
    ] == ['TestTimeAug'] * 2


@pytest.mark.parametrize('settings, words', [
    (config(RESIZE), 'does not end in PackDetInputs'),
    (config(), 'does not end in PackDetInputs'),
    (config(PACK, tta_pipeline=[RESIZE, PACK]), 'must end in TestTimeAug'),
    (config(PACK, tta_pipeline=[augment([RESIZE], [FLIP], [PACK])]),
     'meta_keys of its PackDetInputs lack flip and flip_direction'),
])
def test_views_that_cannot_be_made(settings, words):
    with pytest.raises(ValueError, match=words):
        augment_test_data(settings)


class Wrapped(BaseTTAModel):

    def merge_preds(self, data_samples_list):
        pass


class Module(nn.Module):

    def test_step(self, data):
        pass


def test_the_model_that_averages():
    init_default_scope('mmdet')
    module = Module()
    averaging = averaging_model(Config(), module)
    assert type(averaging) is OneFormerTTAModel
    assert averaging.module is module
    chosen = averaging_model(
        Config(dict(tta_model=dict(type=Wrapped))), module)
    assert type(chosen) is Wrapped
