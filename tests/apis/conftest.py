"""A tiny model as people have one: a config and a checkpoint."""
import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from projects.oneformer.apis import OneFormerInferencer
from tests.models.tiny import CLASSES, NUM_THINGS, build, tiny_config

DATASET_META = dict(
    classes=CLASSES,
    thing_classes=CLASSES[:NUM_THINGS],
    stuff_classes=CLASSES[NUM_THINGS:],
    palette=[(220, 20, 60), (0, 0, 142), (70, 130, 180), (60, 180, 40),
             (250, 170, 30)],
    category_ids=(3, 5, 9, 1, 2),
    class_order=(3, 4, 0, 1, 2))


def inference_model():
    """Config of a model whose segments survive without training."""
    config = tiny_config()
    config.test_cfg.update(object_mask_thr=0., iou_thr=0.)
    return config


def make_config(**model):
    """A config that states no classes, and has no data."""
    config = inference_model()
    for name in ('num_things_classes', 'num_stuff_classes'):
        del config[name]
    config.update(model)
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(256, 64), keep_ratio=True),
        dict(
            type='PackDetInputs',
            meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                       'scale_factor'))
    ]
    dataset = dict(
        type='PanopticDataset', ann_file='absent.json', pipeline=pipeline)
    return Config(
        dict(
            default_scope='mmdet',
            model=config.to_dict(),
            test_dataloader=dict(dataset=dataset)))


def random_image(height, width, seed=0):
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (-(-height // 8), -(-width // 8), 3))
    return cv2.resize(small.astype(np.uint8), (width, height))


def write_model(folder):
    """Write a config and a checkpoint as training does; their paths."""
    make_config().dump(str(folder / 'config.py'))
    model = build(inference_model())
    torch.save(
        dict(
            state_dict=model.state_dict(),
            meta=dict(
                dataset_meta=DATASET_META, cfg=make_config().pretty_text)),
        folder / 'weights.pth')
    return str(folder / 'config.py'), str(folder / 'weights.pth')


@pytest.fixture(scope='session')
def model_files(tmp_path_factory):
    """Paths of a config and of a checkpoint."""
    return write_model(tmp_path_factory.mktemp('model'))


@pytest.fixture(scope='session')
def inferencer(model_files):
    return OneFormerInferencer(*model_files, show_progress=False)


@pytest.fixture
def image_file(tmp_path):
    path = tmp_path / 'image.png'
    cv2.imwrite(str(path), random_image(45, 70))
    return str(path)
