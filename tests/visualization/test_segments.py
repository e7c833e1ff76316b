"""Segments of all three answers."""
import numpy as np
import pytest

from projects.oneformer.visualization import (encoded_segments,
                                              instance_segments,
                                              panoptic_segments,
                                              semantic_segments)


def test_panoptic_ids_are_looked_up():
    id_map = np.array([[0, 7, 7], [2**24 - 1, 9, -3]], np.int32)
    segments = panoptic_segments(
        id_map,
        [dict(id=7, label=4), dict(id=2**24 - 1, label=0)])
    assert segments.map.tolist() == [[-1, 0, 0], [1, -1, -1]]
    assert segments.labels.tolist() == [4, 0]
    assert segments.scores is None


@pytest.mark.parametrize('ids', [(3, 3), (-1, 2), (2**24, )])
def test_panoptic_ids_are_checked(ids):
    with pytest.raises(ValueError, match='id'):
        panoptic_segments(
            np.zeros((2, 2), int), [dict(id=id_, label=0) for id_ in ids])


def test_number_of_segments_is_checked():
    with pytest.raises(ValueError, match='40000 segments are too many'):
        panoptic_segments(
            np.zeros((2, 2), int), [dict(id=i, label=0) for i in range(40000)])


def test_maps_are_checked():
    for wrong in (np.zeros((2, 2)), np.zeros((1, 2, 2),
                                             int), np.zeros((0, 2), int)):
        with pytest.raises(ValueError, match='map'):
            panoptic_segments(wrong, [])


def test_encoded_map_tells_void_instances_and_stuff():
    encoded = np.array([[1000, 2000, 2000], [1, 3, 3]], np.int32)
    segments = encoded_segments(encoded, num_classes=3, instance_offset=1000)
    labels = np.append(segments.labels, -1)[segments.map]
    assert labels.tolist() == [[0, 0, 0], [1, -1, -1]]
    assert segments.map[0, 0] != segments.map[0, 1]
    assert len(segments.labels) == 3


def test_encoded_map_of_void_alone_has_no_segments():
    segments = encoded_segments(np.full((2, 3), 5, np.int32), 5, 1000)
    assert len(segments.labels) == 0
    assert (segments.map == -1).all()


def test_semantic_map_has_one_segment_per_class_present():
    labels = np.array([[4, 255, 1], [1, -1, 5]])
    segments = semantic_segments(labels, num_classes=5)
    assert segments.labels.tolist() == [1, 4]
    assert segments.map.tolist() == [[1, -1, 0], [0, -1, -1]]


def test_best_instance_lies_on_top():
    masks = np.zeros((3, 2, 4), bool)
    masks[0, :, :2] = masks[1, :, 1:] = masks[2, 0] = True
    segments = instance_segments(masks[:2], [0, 1], [0.5, 0.9])
    assert segments.map.tolist() == [[0, 1, 1, 1], [0, 1, 1, 1]]
    without = instance_segments(masks, [0, 1, 2])
    assert without.map.tolist() == [[2] * 4, [0, 1, 1, 1]]


@pytest.mark.parametrize('order', [(0, 1, 2, 3), (3, 1, 0, 2)])
def test_small_instances_are_seen_and_repeated_ones_are_not(order):
    person, tie, twin, arm = masks = np.zeros((4, 20, 20), bool)
    person[2:18, 2:18] = tie[6:12, 8:10] = True
    twin[1:18, 2:19] = arm[3:10, 2:6] = True
    order = list(order)
    labels, scores = np.array([0, 1, 0, 0]), np.array([0.9, 0.4, 0.6, 0.5])
    segments = instance_segments(masks[order], labels[order], scores[order])
    expected = np.full((20, 20), -1)
    expected[person] = order.index(0)
    expected[tie] = order.index(1)
    assert np.array_equal(segments.map, expected)


def test_no_instances_make_an_empty_map_of_the_image():
    segments = instance_segments([], [], [], shape=(3, 5))
    assert segments.map.shape == (3, 5)
    assert (segments.map == -1).all()
    with pytest.raises(ValueError, match='1 masks, 2 labels'):
        instance_segments(np.ones((1, 2, 2)), [0, 1])


def test_resizing_keeps_indices_and_void():
    rows, columns = np.mgrid[:12, :16]
    id_map = np.where((rows - 6)**2 + (columns - 8)**2 < 16, 1, 0)
    id_map[:, :3] = 2
    segments = panoptic_segments(
        id_map, [dict(id=1, label=0), dict(id=2, label=1)])
    assert segments.resized(12, 16) is segments
    enlarged = segments.resized(96, 128)
    assert enlarged.map.shape == (96, 128)
    assert enlarged.map.dtype == segments.map.dtype
    assert np.unique(enlarged.map).tolist() == [-1, 0, 1]
    for index in (-1, 0, 1):
        before, after = ((some.map == index).mean()
                         for some in (segments, enlarged))
        assert after == pytest.approx(before, rel=0.1)
    # outlines are smooth, not blocks of 8 pixels: rows differ within a block
    blocks = enlarged.map.reshape(12, 8, 128)
    assert (blocks != blocks[:, :1]).any(axis=(1, 2)).sum() >= 4
    reduced = enlarged.resized(6, 8)
    assert reduced.map.shape == (6, 8)
    assert set(np.unique(reduced.map)) <= {-1, 0, 1}
