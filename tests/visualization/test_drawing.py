"""Overlays of one task each."""
import time

import numpy as np
import pytest

from projects.oneformer.visualization import (draw_instances, draw_panoptic,
                                              draw_segments, draw_semantic,
                                              drawing, panoptic_segments)
from projects.oneformer.visualization.drawing import contour_width, contours

CLASSES = ('disk', 'box', 'ground')
PALETTE = [(220, 20, 60), (0, 0, 142), (60, 180, 40)]


def scene(height=120, width=160):
    """Random image, a map of two boxes of a class on ground, void above."""
    image = np.random.default_rng(0).integers(
        0, 256, (height, width, 3), dtype=np.uint8)
    id_map = np.zeros((height, width), np.int32)
    id_map[height // 3:] = 30
    id_map[height // 2:-9, 10:60] = 7
    id_map[height // 2:-9, 60:140] = 1000
    segments = [
        dict(id=30, label=2),
        dict(id=7, label=1),
        dict(id=1000, label=1)
    ]
    return image, id_map, segments


def test_void_is_left_as_it_is():
    image, id_map, segments = scene()
    before = image.copy()
    picture = draw_panoptic(image, id_map, segments, CLASSES, PALETTE)
    assert picture.shape == image.shape and picture.dtype == np.uint8
    assert np.array_equal(image, before)
    assert np.array_equal(picture[id_map == 0], image[id_map == 0])
    assert (picture[id_map != 0] != image[id_map != 0]).any(axis=1).mean() > .9


def test_fill_is_the_blend_of_image_and_palette():
    image = np.full((200, 200, 3), 100, np.uint8)
    picture = draw_semantic(
        image, np.full((200, 200), 2), CLASSES, PALETTE, alpha=0.25)
    expected = 0.75 * 100 + 0.25 * np.array(PALETTE[2])
    assert np.abs(picture[0, 0] - expected).max() <= 1
    assert np.abs(picture[-1, -1] - expected).max() <= 1


def test_contours_separate_instances_of_a_class():
    image = np.zeros((300, 300, 3), np.uint8)
    masks = np.zeros((2, 300, 300), bool)
    masks[0, 50:250, 50:150] = masks[1, 50:250, 150:250] = True
    picture = draw_instances(image, masks, [0, 0], [0.9, 0.8], CLASSES,
                             PALETTE)
    column = picture[60].min(axis=1)
    light = np.flatnonzero(column > 150)
    assert contour_width(300, 300) == 1
    assert 1 <= np.abs(light - 150).min() + 1 <= 2
    assert len(light) <= 6
    assert (picture[~masks.any(axis=0)] == 0).all()


@pytest.mark.parametrize('pixels', [1, 700, 10**6])
def test_blocks_leave_no_seams(monkeypatch, pixels):
    image, id_map, segments = scene(300, 200)
    whole = draw_panoptic(image, id_map, segments, CLASSES, PALETTE)
    monkeypatch.setattr(drawing, 'PIXELS_AT_ONCE', pixels)
    blocks = draw_panoptic(image, id_map, segments, CLASSES, PALETTE)
    assert np.array_equal(whole, blocks)


def test_lines_fade_where_they_are_dense():
    segment_map = np.zeros((60, 90), np.int16)
    segment_map[:, 30:] = 1
    segment_map[:, 60::2] = 2  # branches of one pixel
    opacity = contours(segment_map, line=1)
    assert 0.4 < opacity[30, 28:32].max() <= drawing.CONTOUR_ALPHA
    assert (opacity[:, :25] == 0).all() and (opacity[:, 35:55] == 0).all()
    assert 0 < opacity[:, 65:].max() < 0.3


def test_lines_scale_with_the_picture():
    assert contour_width(240, 320) == 1
    assert contour_width(3000, 4000) == 9


@pytest.mark.parametrize('height, width', [(1, 1), (1, 500), (500, 1), (2, 2)])
def test_tiny_and_thin_images(height, width):
    image = np.full((height, width, 3), 9, np.uint8)
    label_map = np.zeros((height, width), np.uint8)
    picture = draw_semantic(image, label_map, CLASSES, PALETTE)
    assert picture.shape == image.shape
    assert (picture != 9).any()
    masks = np.ones((1, height, width), bool)
    picture = draw_instances(image, masks, [0], [1.], CLASSES, PALETTE)
    assert picture.shape == image.shape


def test_nothing_predicted_leaves_the_image():
    image, id_map, _ = scene()
    shape = id_map.shape
    pictures = [
        draw_panoptic(image, id_map, [], CLASSES, PALETTE),
        draw_instances(image, np.zeros((0, *shape), bool), [], [], CLASSES,
                       PALETTE),
        draw_semantic(image, np.full(shape, 255), CLASSES, PALETTE),
    ]
    for picture in pictures:
        assert np.array_equal(picture, image)
        assert picture is not image


def test_hidden_segments_are_no_error():
    image, _, segments = scene()
    everything = np.full(image.shape[:2], 30)
    picture = draw_panoptic(image, everything, segments, CLASSES, PALETTE)
    assert np.array_equal(
        picture,
        draw_panoptic(image, everything, segments[:1], CLASSES, PALETTE))


def test_same_input_same_picture():
    first, second = (
        draw_panoptic(*scene(), CLASSES, PALETTE) for _ in range(2))
    assert np.array_equal(first, second)


def test_wrong_input_is_named():
    image, id_map, segments = scene()
    drawn = panoptic_segments(id_map, segments)
    with pytest.raises(ValueError, match='float64'):
        draw_segments(image.astype(float), drawn, CLASSES, PALETTE)
    with pytest.raises(ValueError, match='must agree'):
        draw_segments(image[1:], drawn, CLASSES, PALETTE)
    with pytest.raises(ValueError, match=r'labels \[2\]'):
        draw_segments(image, drawn, CLASSES[:2], PALETTE)


def test_large_picture_is_drawn_quickly():
    random = np.random.default_rng(0)
    blocks = random.permutation(64).reshape(8, 8)
    id_map = np.kron(blocks, np.ones((128, 256), int))
    image = random.integers(0, 256, (*id_map.shape, 3), dtype=np.uint8)
    segments = [dict(id=id_, label=id_ % 3) for id_ in range(64)]
    draw_panoptic(image, id_map, segments, CLASSES, PALETTE)  # loads fonts
    start = time.process_time()
    draw_panoptic(image, id_map, segments, CLASSES, PALETTE)
    # measured 0.1 s; generous, since machines differ
    assert time.process_time() - start < 1
