"""Several kinds of annotation in one run."""
from collections import Counter

import numpy as np
import pytest
from mmdet.registry import DATASETS

from projects.oneformer.datasets import CATEGORIES as PUBLISHED
from projects.oneformer.tasks import TASKS
from tests.helpers import (CATEGORIES, make_samples, write_instance_dataset,
                           write_panoptic_dataset, write_semantic_dataset)

LOADING = dict(
    panoptic='LoadPanopticMap',
    instance='LoadInstanceMap',
    semantic='LoadSemanticMap')


def write(root, kind, number=2, seed=0):
    """Config of a data set of a kind, which draws any task it can."""
    writers = dict(
        panoptic=write_panoptic_dataset,
        instance=write_instance_dataset,
        semantic=write_semantic_dataset)
    cfg = writers[kind](root / kind, make_samples(number, seed=seed))
    cfg.pop('categories', None)
    cfg['pipeline'] = [
        dict(type='LoadImageFromFile'),
        dict(type=LOADING[kind]),
        dict(type='TaskSampling'),
        dict(type='PackDetInputs', meta_keys=('img_path', 'task', 'texts'))
    ]
    return cfg


@pytest.fixture
def cfg(tmp_path):
    return dict(
        type='MixedDataset',
        categories=CATEGORIES,
        datasets=[write(tmp_path, kind) for kind in TASKS])


def test_each_image_draws_what_its_annotation_can_answer(cfg):
    dataset = DATASETS.build(cfg)
    assert len(dataset) == 6
    np.random.seed(0)
    drawn = Counter()
    for _ in range(20):
        for index in range(6):
            sample = dataset[index]['data_samples']
            drawn[TASKS[index // 2], sample.task] += 1
    assert drawn['instance', 'instance'] == drawn['semantic', 'semantic'] == 40
    assert set(drawn) == {('panoptic', task)
                          for task in TASKS} | {('instance', 'instance'),
                                                ('semantic', 'semantic')}
    assert min(drawn.values()) > 5


def test_same_samples_same_labels_whatever_the_annotation(cfg):
    dataset = DATASETS.build(cfg)
    for task in ('instance', 'semantic'):
        kind = TASKS.index(task)
        for index in range(2):
            whole = cfg['datasets'][0]['pipeline']
            whole[2] = dict(type='TaskSampling', probabilities={task: 1})
            whole = DATASETS.build(cfg)[index]['data_samples']
            part = dataset[2 * kind + index]['data_samples']
            assert part.texts == whole.texts
            assert content(part) == content(whole)


def content(sample):
    """Labels and masks of a sample, whatever their order."""
    instances = sample.gt_instances
    return sorted(
        (int(label), mask.tobytes())
        for label, mask in zip(instances.labels, instances.masks.masks))


def test_metainfo_is_that_of_the_categories(cfg, tmp_path):
    meta = DATASETS.build(cfg).metainfo
    assert meta['classes'] == ('car', 'dog', 'sky', 'road')
    path = tmp_path / 'panoptic/panoptic_train.json'
    dataset = DATASETS.build(dict(cfg, categories=str(path)))
    assert dataset.metainfo['class_order'] == (2, 0, 3, 1)


def test_lazy_data_sets_are_read_when_needed(cfg):
    panoptic, instance, _ = cfg['datasets']
    instance['data_root'] = 'nowhere'
    repeated = dict(type='RepeatDataset', times=5, dataset=instance)
    dataset = DATASETS.build(
        dict(cfg, datasets=[panoptic, repeated], lazy_init=True))
    assert dataset.metainfo['thing_classes'] == ('car', 'dog')
    with pytest.raises(FileNotFoundError, match='nowhere'):
        dataset.full_init()


def test_datasets_in_wrappers(cfg):
    panoptic, instance, semantic = cfg['datasets']
    repeated = dict(type='RepeatDataset', times=5, dataset=instance)
    joined = dict(type='ConcatDataset', datasets=[repeated, semantic])
    dataset = DATASETS.build(dict(cfg, datasets=[panoptic, joined]))
    assert len(dataset) == 2 + 10 + 2
    assert dataset[11]['data_samples'].task == 'instance'
    assert dataset[12]['data_samples'].task == 'semantic'
    assert dataset.metainfo['thing_classes'] == ('car', 'dog')


def test_datasets_name_no_categories_of_their_own(cfg):
    cfg['datasets'][2]['categories'] = ['sky', 'road']
    with pytest.raises(ValueError, match='SemanticDataset.*state them once'):
        DATASETS.build(cfg)


def test_categories_must_say_what_is_a_thing(cfg):
    with pytest.raises(ValueError, match="MixedDataset: .*'sky' lacks 'isth"):
        DATASETS.build(dict(cfg, categories=['sky', 'car', 'road', 'dog']))


def test_annotation_of_other_classes(cfg):
    others = [c for c in PUBLISHED['coco'] if c['name'] != 'dog']
    with pytest.raises(ValueError, match='panoptic_train.json: .*dog'):
        DATASETS.build(dict(cfg, categories=others))


def test_metainfo_that_differs(cfg):
    cfg['datasets'][1]['metainfo'] = dict(palette=[(i, i, i)
                                                   for i in range(4)])
    with pytest.raises(ValueError, match='differ in palette'):
        DATASETS.build(cfg)
