"""Where the classes of published checkpoints and annotations stand here."""
import json

import pytest
from mmdet.datasets import CityscapesDataset, CocoPanopticDataset
from mmengine.config import Config

from projects.oneformer.checkpoints import CheckpointError, find_class_order
from projects.oneformer.checkpoints.class_order import PUBLISHED, things_first
from tests.helpers import CATEGORIES, write_panoptic_dataset

NO_DATA = dict(model=dict(type='OneFormer'))


def order_of(num_classes, cfg=NO_DATA, **kwargs):
    return find_class_order(Config(cfg), num_classes, **kwargs)


def test_published_data_sets_by_their_counts():
    counts = {133: 80, 150: 100, 19: 8, 65: 37}
    for (name, categories), number in zip(PUBLISHED.items(), counts):
        order = order_of(number, dict(model=dict(num_things_classes=None)))
        assert order.origin.startswith(name)
        assert order.num_things == counts[number]
        assert order.names == tuple(c['name'] for c in categories)
        assert sorted(order.labels) == list(range(number))


def test_things_stand_first():
    things = CocoPanopticDataset.METAINFO['thing_classes']
    assert order_of(133).dataset_meta['thing_classes'] == tuple(things)
    things = CityscapesDataset.METAINFO['classes']
    assert set(order_of(19).dataset_meta['thing_classes']) == set(things)
    assert order_of(19).labels[:2] == (8, 9)  # road, sidewalk
    assert order_of(150).labels[6:9] == (106, 0, 1)  # road, bed, window


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


def test_categories_of_the_config_decide():
    dataset = dict(categories='coco', ann_file='absent.json')
    cfg = dict(**NO_DATA, val_dataloader=dict(dataset=dataset))
    order = order_of(133, cfg)
    assert order.labels == tuple(range(133))
    assert order.origin == "val_dataloader.dataset.categories='coco'"


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
