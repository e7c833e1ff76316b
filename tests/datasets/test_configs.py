"""The data configs: pipelines run, and carry what the model and metrics need.
"""
from pathlib import Path

import numpy as np
import pytest
from mmdet.registry import DATASETS
from mmengine.config import Config

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
    assert set(info['segments_info'][0]) == {'id', 'label', 'iscrowd'}


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
