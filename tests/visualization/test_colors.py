"""Colors of segments."""
import colorsys

import numpy as np
import pytest

from projects.oneformer.visualization import segment_colors
from projects.oneformer.visualization.colors import BRIGHTNESS, shades

COLORS = [(220, 20, 60), (0, 0, 142), (0, 0, 70), (182, 182, 255),
          (250, 240, 230), (0, 0, 0), (255, 255, 255), (60, 180, 40)]


@pytest.mark.parametrize('color', COLORS)
def test_shades_have_the_hue_and_differ_in_brightness(color):
    found = shades(color)
    assert found.shape == (6, 3) and found.dtype == np.uint8
    assert tuple(found[0]) == color
    brightness = found @ BRIGHTNESS
    assert np.diff(np.sort(brightness)).min() > 10
    # the first ones are told apart at a glance
    assert abs(brightness[1] - brightness[0]) > 35
    hues = [colorsys.rgb_to_hls(*(shade / 255))[0] for shade in found]
    if len(set(color)) > 1:
        turns = (np.array(hues) - hues[0] + 0.5) % 1 - 0.5
        assert np.abs(turns).max() < 0.03


def test_pale_colors_stay_pale_and_full_ones_full():
    pale, full = shades((182, 182, 255)).astype(int), shades((0, 0, 142))
    assert np.ptp(pale, axis=1).max() <= 74
    assert np.ptp(full.astype(int), axis=1).min() >= 80


def test_neighbours_of_a_class_get_other_shades():
    # a row of 18 instances of one class: more than there are shades
    segment_map = np.repeat(np.arange(18), 10)[None].repeat(8, axis=0)
    colors = segment_colors(segment_map, [1] * 18, COLORS).astype(int)
    assert len({tuple(color) for color in colors}) == 6
    for distance in (1, 2):
        steps = np.abs(colors[distance:] - colors[:-distance]).sum(axis=1)
        assert steps.min() > 0


def test_largest_instance_has_the_color_of_its_class():
    segment_map = np.full((20, 40), -1)
    segment_map[:5, :5] = 0
    segment_map[5:, 10:] = 1
    segment_map[:5, 10:] = 2
    colors = segment_colors(segment_map, [0, 0, 3], COLORS)
    assert colors[1].tolist() == list(COLORS[0])
    assert colors[0].tolist() != list(COLORS[0])
    assert colors[2].tolist() == list(COLORS[3])


def test_the_order_of_segments_does_not_matter():
    random = np.random.default_rng(0)
    segment_map = np.kron(
        random.permutation(24).reshape(4, 6), np.ones((9, 7), int))
    segment_map[::5] = 3
    order = random.permutation(24)
    labels = np.arange(24) % 3
    colors = segment_colors(segment_map, labels, COLORS)
    again = segment_colors(
        np.argsort(order)[segment_map], labels[order], COLORS)
    assert np.array_equal(again, colors[order])


def test_segments_without_a_pixel_are_no_error():
    colors = segment_colors(np.full((3, 3), 1), [0, 0, 0], COLORS)
    assert colors[1].tolist() == list(COLORS[0])
    assert segment_colors(np.full((3, 3), -1), [], COLORS).shape == (0, 3)
