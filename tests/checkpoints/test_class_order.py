"""Where the classes of published checkpoints and annotations stand here."""
import json

import pytest
from mmdet.datasets import (ADE20KPanopticDataset, CityscapesDataset,
                            CocoPanopticDataset)
from mmengine.config import Config

from projects.oneformer.checkpoints import CheckpointError, find_class_order
from projects.oneformer.checkpoints.class_order import PUBLISHED, things_first
from tests.helpers import CATEGORIES, write_panoptic_dataset

NO_DATA = dict(model=dict(type='OneFormer'))


def order_of(num_classes, cfg=NO_DATA, **kwargs):
    return find_class_order(Config(cfg), num_classes, **kwargs)


def words(names):
    """First of several names, to compare lists that abridge differently."""
    return [name.split(',')[0].strip() for name in names]


def test_published_data_sets_have_the_published_counts():
    counts = {p.name: (p.num_classes, len(p.things)) for p in PUBLISHED}
    assert counts == {
        'COCO': (133, 80),
        'ADE20K': (150, 100),
        'Cityscapes': (19, 8),
        'Mapillary Vistas': (65, 37)
    }
    for published in PUBLISHED:
        names = published.names()
        assert len(set(names)) == published.num_classes


def test_things_of_coco_and_cityscapes_are_those_of_mmdet():
    meta = order_of(133).dataset_meta
    things = CocoPanopticDataset.METAINFO['thing_classes']
    assert meta['thing_classes'] == tuple(things)
    meta = order_of(19).dataset_meta
    assert set(meta['thing_classes']) == set(
        CityscapesDataset.METAINFO['classes'])
    assert order_of(19).labels[:2] == (8, 9)  # road, sidewalk


def test_things_of_ade20k_are_those_of_mmdet():
    """Up to nine names that semantic and panoptic lists word differently."""
    meta = order_of(150).dataset_meta
    for kind in ('thing_classes', 'stuff_classes'):
        ours = words(meta[kind])
        theirs = words(ADE20KPanopticDataset.METAINFO[kind])
        assert len(ours) == len(theirs)
        other = [pair for pair in zip(ours, theirs) if pair[0] != pair[1]]
        assert len(other) <= 7
        assert not {a for a, _ in other} & set(theirs)


def test_things_of_mapillary_vistas():
    meta = order_of(65).dataset_meta
    assert len(meta['thing_classes']) == 37
    for name in ('Bird', 'Person', 'Traffic Light', 'Wheeled Slow', 'Manhole'):
        assert name in meta['thing_classes']
    for name in ('Road', 'Pothole', 'On Rails', 'Car Mount', 'Ego Vehicle'):
        assert name in meta['stuff_classes']


def test_given_things_come_first():
    order = order_of(7, things=[4, 1, 5])
    assert order.labels == (3, 0, 4, 5, 1, 2, 6)
    assert order.indices == [1, 4, 5, 0, 2, 3, 6]
    assert order.num_things == 3
    assert things_first([0, 1], 4) == (0, 1, 2, 3)


@pytest.mark.parametrize('things', [[0, 7], [-1], [2, 2]])
def test_wrong_things_are_named(things):
    with pytest.raises(CheckpointError, match='--things .* of the 7 classes'):
        order_of(7, things=things)


def config_with_annotation(tmp_path):
    dataset = write_panoptic_dataset(tmp_path)
    return dict(**NO_DATA, train_dataloader=dict(dataset=dataset))


def test_the_annotation_decides(tmp_path):
    order = order_of(4, config_with_annotation(tmp_path))
    assert order.names == tuple(c['name'] for c in CATEGORIES)
    # sky, car, road, dog; car and dog are things
    assert order.labels == (2, 0, 3, 1)
    assert order.dataset_meta['thing_classes'] == ('car', 'dog')
    assert order.origin.endswith('panoptic_train.json')


def test_names_of_the_checkpoint_decide_if_they_are_the_same(tmp_path):
    cfg = config_with_annotation(tmp_path)
    order = order_of(4, cfg, names=['dog', 'road', 'car', 'sky'])
    assert order.labels == (1, 3, 0, 2)
    other = order_of(4, cfg, names=['a', 'b', 'c', 'd'])
    assert other.labels == (2, 0, 3, 1)


def test_what_a_checkpoint_knows_comes_before_the_annotation(tmp_path):
    cfg = config_with_annotation(tmp_path)
    meta = dict(
        classes=('x', 'y', 'z'),
        thing_classes=('x', ),
        stuff_classes=('y', 'z'),
        class_order=(1, 2, 0))
    order = order_of(3, cfg, dataset_meta=meta)
    assert order.labels == (1, 2, 0)
    assert order.names == ('y', 'z', 'x')
    assert json.loads(json.dumps(order.dataset_meta)) == json.loads(
        json.dumps(meta))


def test_an_unknown_order_is_not_guessed():
    with pytest.raises(CheckpointError, match='7 classes .* --things'):
        order_of(7)
    cfg = dict(model=dict(num_things_classes=19))
    with pytest.raises(CheckpointError, match='19 classes .* --things'):
        order_of(19, cfg)
