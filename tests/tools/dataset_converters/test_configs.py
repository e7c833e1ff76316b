"""What the converters make is what the configs of the data sets read."""
import json
from pathlib import Path

import pytest
from ade20k import Ade20k
from cityscapes import Cityscapes
from coco import Coco
from mapillary_vistas import MapillaryVistas
from mmdet.registry import DATASETS, METRICS
from mmengine.config import Config
from mmengine.registry import DefaultScope

from projects.oneformer.datasets import read_semantic_map
from tests.tools.dataset_converters.trees import (ade20k_tree, cityscapes_tree,
                                                  coco_tree, mapillary_tree)


@pytest.fixture(autouse=True)
def mmdet_scope():
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


def at(root, cfg):
    """The config with the data in another folder."""
    old = cfg.data_root
    cfg.merge_from_dict({
        f'{split}_dataloader.dataset.data_root': str(root)
        for split in ('train', 'val', 'test')
    })
    for metric in cfg.test_evaluator:
        if 'ann_file' in metric:
            assert metric.ann_file.startswith(old)
            metric.ann_file = str(root / metric.ann_file[len(old):])
    return cfg


def write_instances(root):
    """The original instance annotation of COCO, without an instance."""
    path = root / 'annotations/panoptic_val2017.json'
    panoptic = json.loads(path.read_text())
    things = [c for c in panoptic['categories'] if c['isthing']]
    (root / 'annotations/instances_val2017.json').write_text(
        json.dumps(
            dict(images=panoptic['images'], annotations=[],
                 categories=things)))


@pytest.mark.parametrize('name, tree, converter', [
    ('ade20k', ade20k_tree, Ade20k),
    ('cityscapes', cityscapes_tree, Cityscapes),
    ('coco', coco_tree, Coco),
    ('mapillary', mapillary_tree, MapillaryVistas),
])
def test_configs_read_what_is_made(root, tmp_path, command, name, tree,
                                   converter):
    for split in ('train', 'val'):
        tree(tmp_path, split)
    if name == 'coco':
        write_instances(tmp_path)
    status, said = command(converter, tmp_path, '--splits', 'train', 'val')
    assert status == 0, said

    cfg = at(
        tmp_path,
        Config.fromfile(root / f'configs/_base_/datasets/{name}_panoptic.py'))
    train = DATASETS.build(cfg.train_dataloader.dataset)
    assert len(train) == 3
    assert max(train[0]['data_samples'].img_shape) <= max(cfg.crop_size)
    val = DATASETS.build(cfg.val_dataloader.dataset)
    sample = val[0]['data_samples']
    assert len(val) == 3
    assert Path(sample.seg_map_path).is_file()
    if name in ('ade20k', 'mapillary'):
        labels = read_semantic_map(sample.semantic_map_path)
        assert labels.shape == sample.ori_shape
    for settings in cfg.test_evaluator:
        metric = METRICS.build(settings)
        metric.dataset_meta = val.metainfo
