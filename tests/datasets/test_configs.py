"""The data configs: pipelines run, and carry what the model and metrics need.
"""
from pathlib import Path

import numpy as np
import pytest
from mmdet.registry import DATASETS, TRANSFORMS
from mmengine.config import Config

from projects.oneformer.datasets import CATEGORIES
from projects.oneformer.tasks import TASKS
from tests.helpers import make_samples, write_panoptic_dataset

CONFIGS = Path(__file__).parents[2] / 'configs/_base_/datasets'


def test_files_are_all_a_config_names(tmp_path):
    cfg = Config.fromfile(CONFIGS / 'coco_panoptic_json.py')
    for split in ('train', 'val'):
        write_panoptic_dataset(
            tmp_path, make_samples(4, (360, 480)), split=split)
        cfg[f'{split}_dataloader'].dataset.data_root = str(tmp_path)

    np.random.seed(0)
    train = DATASETS.build(cfg.train_dataloader.dataset)
    packed = [train[i % 4] for i in range(12)]
    assert {p['data_samples'].task for p in packed} == set(TASKS)
    for p in packed:
        instances = p['data_samples'].gt_instances
        assert max(p['inputs'].shape[1:]) <= 512
        assert p['inputs'].shape[1:] == instances.masks.masks.shape[1:]
        assert len(p['data_samples'].texts) == len(instances)

    val = DATASETS.build(cfg.val_dataloader.dataset)[0]
    assert val['inputs'].shape == (3, 512, 683)
    info = val['data_samples'].metainfo
    assert info['ori_shape'] == (360, 480)
    assert Path(info['seg_map_path']).is_file()
    assert set(info['segments_info'][0]) == {'id', 'label', 'iscrowd', 'area'}


@pytest.mark.parametrize('split, number', [('train', 367), ('val', 101),
                                           ('test', 233)])
def test_camvid(shared, split, number):
    cfg = Config.fromfile(CONFIGS / 'camvid_panoptic.py')
    dataset_cfg = cfg[f'{split}_dataloader'].dataset
    assert dataset_cfg.data_root == 'data/camvid/'
    dataset_cfg.data_root = str(shared / 'data/camvid')
    dataset = DATASETS.build(dataset_cfg)
    assert len(dataset) == number
    assert dataset.metainfo['thing_classes'] == ('car', 'pedestrian',
                                                 'bicyclist')
    height, width = dataset[0]['inputs'].shape[1:]
    assert (height <= 180
            and width <= 240) if split == 'train' else ((height,
                                                         width) == (180, 240))


@pytest.mark.parametrize('name, crop, tasks', [
    ('ade20k', (512, 512), TASKS),
    ('cityscapes', (512, 1024), TASKS),
    ('coco', (1024, 1024), TASKS),
    ('mapillary', (1024, 1024), ('panoptic', 'semantic')),
])
def test_published_pipelines_run(tmp_path, name, crop, tasks):
    """On images that are smaller than the crop, where that can be."""
    cfg = Config.fromfile(CONFIGS / f'{name}_panoptic.py')
    samples = make_samples(2, (128, 256), CATEGORIES[name], num_segments=4)
    for sample in samples:  # nowhere as bright as the padding
        sample['image'] = np.zeros((128, 256, 3), np.uint8)
    written = write_panoptic_dataset(tmp_path, samples, CATEGORIES[name])
    train = DATASETS.build(
        dict(
            cfg.train_dataloader.dataset, **{
                key: written[key]
                for key in ('data_root', 'ann_file', 'data_prefix')
            }))
    np.random.seed(0)
    packed = [train[i % 2] for i in range(12)]
    assert {p['data_samples'].task for p in packed} == set(tasks)
    for p in packed:
        masks = p['data_samples'].gt_instances.masks.masks
        assert p['inputs'].shape == (3, *crop)
        assert p['data_samples'].img_shape == masks.shape[1:] == crop
        assert len(p['data_samples'].texts) == len(masks)
    if name in ('ade20k', 'coco'):
        padded = [(p['inputs'] == 128).all(0).numpy() for p in packed]
        assert any(area.mean() > 0.25 for area in padded)
        assert not any((p['data_samples'].gt_instances.masks.masks
                        & area).any() for p, area in zip(packed, padded))


@pytest.mark.parametrize('name, size', [
    ('ade20k', (512, 1024)),
    ('ade20k_panoptic_640', (640, 1280)),
    ('ade20k_panoptic_896', (896, 1792)),
    ('ade20k_panoptic_1280', (1280, 2560)),
    ('cityscapes', (1024, 2048)),
    ('coco', (667, 1333)),
    ('mapillary', (1024, 2048)),
])
def test_published_test_sizes(name, size):
    """Of an image twice as wide as high: sides in pixels."""
    name = name if name.startswith('ade20k_') else f'{name}_panoptic'
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    resize = TRANSFORMS.build(cfg.test_dataloader.dataset.pipeline[1])
    image = np.zeros((300, 600, 3), np.uint8)
    assert resize(dict(img=image))['img'].shape[:2] == size
