"""Configs by name, class counts and class names."""
import json

import pytest
from mmengine.config import Config

from projects.oneformer.apis.loading import (class_metainfo, fill_class_counts,
                                             find_model, inference_config)

SAVED = dict(
    classes=('car', 'bus', 'sky'),
    thing_classes=('car', 'bus'),
    stuff_classes=('sky', ),
    palette=[(1, 2, 3), (4, 5, 6), (7, 8, 9)],
    category_ids=(9, 12, 7),
    class_order=(2, 0, 1))
CATEGORIES = [
    dict(id=7, name='sky', isthing=0, color=[70, 80, 90]),
    dict(id=9, name='car', isthing=1, color=[10, 20, 30]),
    dict(id=12, name='bus', isthing=1, color=[40, 50, 60]),
]


def make_config(categories=None, **model):
    cfg = Config(dict(model=dict(type='OneFormer', **model)))
    dataset = dict(type='PanopticDataset', ann_file='absent.json')
    if categories is not None:
        dataset['categories'] = categories
    cfg.test_dataloader = dict(dataset=dataset)
    return cfg


def counts(cfg):
    return cfg.model.num_things_classes, cfg.model.num_stuff_classes


class TestClassCounts:

    def test_config_comes_before_checkpoint(self):
        cfg = make_config(num_things_classes=5, num_stuff_classes=6)
        fill_class_counts(cfg, SAVED)
        assert counts(cfg) == (5, 6)
        cfg = make_config(num_things_classes=5)
        fill_class_counts(cfg, SAVED)
        assert counts(cfg) == (5, 1)

    def test_checkpoint_comes_before_data_sets(self):
        cfg = make_config(CATEGORIES * 0 + CATEGORIES[:2])
        fill_class_counts(cfg, SAVED)
        assert counts(cfg) == (2, 1)

    def test_data_sets(self):
        cfg = make_config(CATEGORIES)
        fill_class_counts(cfg, dict(classes=SAVED['classes']))
        assert counts(cfg) == (2, 1)

    def test_none(self):
        with pytest.raises(FileNotFoundError, match='absent.json does not'):
            fill_class_counts(make_config(), {})


class TestClassMetainfo:

    def config(self, categories=None):
        return make_config(
            categories, num_things_classes=2, num_stuff_classes=1)

    def test_checkpoint_alone(self):
        # the config's categories are not even looked at
        assert class_metainfo(self.config('no such file'), SAVED) == SAVED

    def test_config_completes_the_checkpoint(self):
        saved = dict(
            classes=SAVED['classes'],
            palette=[(1, 1, 1), (2, 2, 2), (3, ) * 3])
        meta = class_metainfo(self.config(CATEGORIES), saved)
        assert meta == dict(SAVED, palette=saved['palette'])

    def test_config_alone(self):
        meta = class_metainfo(self.config(CATEGORIES), {})
        assert meta == dict(
            SAVED, palette=[(10, 20, 30), (40, 50, 60), (70, 80, 90)])

    def test_annotation_of_the_config(self, tmp_path):
        path = tmp_path / 'panoptic.json'
        path.write_text(
            json.dumps(
                dict(images=[{}], annotations=[{}], categories=CATEGORIES)))
        cfg = self.config()
        cfg.test_dataloader.dataset.ann_file = str(path)
        assert class_metainfo(cfg, {})['category_ids'] == (9, 12, 7)

    def test_other_classes_of_the_config_do_not_count(self):
        saved = dict(classes=('a', 'b', 'c'))
        meta = class_metainfo(self.config(CATEGORIES), saved)
        assert meta['classes'] == ('a', 'b', 'c')
        assert meta['thing_classes'] == ('a', 'b')
        assert meta['category_ids'] == (1, 2, 3)
        assert meta['class_order'] == (0, 1, 2)
        assert len(set(meta['palette'])) == 3

    def test_no_names(self):
        with pytest.raises(ValueError, match='classes have no names'):
            class_metainfo(self.config(), {})

    def test_another_number_of_names(self):
        with pytest.raises(ValueError, match='2 things and 1 stuff'):
            class_metainfo(self.config(), dict(classes=('a', 'b')))


class TestModelIndex:

    def test_models_of_this_repository(self, root):
        """Any name or none: no weights are needed to find the config."""
        cfg, _ = find_model('oneformer_r18_1xb8-1200_shapes-128x128')
        assert cfg.model.type == 'OneFormer'
        assert cfg.filename == str(
            root / 'configs/shapes/oneformer_r18_1xb8-1200_shapes-128x128.py')

    def test_no_index(self, tmp_path):
        with pytest.raises(
                FileNotFoundError, match='x.py is neither a config file'):
            find_model('x.py', root=tmp_path)

    def test_overrides(self, tmp_path):
        path = tmp_path / 'a.py'
        path.write_text('model = dict(type="OneFormer")\n')
        cfg = inference_config(str(path), {'model.test_cfg.iou_thr': 0.5})
        assert cfg.model.test_cfg.iou_thr == 0.5
