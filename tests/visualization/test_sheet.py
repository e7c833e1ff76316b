"""Sheets of titled pictures."""
import numpy as np
import pytest

from projects.oneformer.visualization import (legend, panel_size, resize_image,
                                              sheet, sheet_with_legend)


def plain(height, width, value):
    """A picture of a colour that neither paper nor ink nor blends have."""
    return np.tile(np.uint8([value, 0, 200]), (height, width, 1))


def places_of(paper, value):
    return (paper == (value, 0, 200)).all(axis=2)


def test_pictures_stand_whole_and_in_order():
    pictures = [plain(60, 200, value) for value in (10, 20, 30, 40, 50)]
    titles = ['image', 'annotation', 'panoptic', 'instance', 'semantic']
    paper = sheet(pictures, titles, columns=3)
    places = []
    for value in (10, 20, 30, 40, 50):
        ys, xs = np.nonzero(places_of(paper, value))
        y, x = ys.min(), xs.min()
        assert places_of(paper, value)[y:y + 60, x:x + 200].all()
        places.append((y, x))
    rows = [y for y, _ in places]
    assert rows[0] == rows[1] == rows[2] < rows[3] == rows[4]
    assert places[0][1] < places[1][1] < places[2][1]
    assert places[0][1] == places[3][1]
    # every title leaves ink above its picture
    for y, x in places:
        assert (paper[y - 12:y, x:x + 200].min(axis=(1, 2)) < 100).any()


def test_default_is_one_row():
    paper = sheet([plain(50, 60, 0)] * 4, list('abcd'))
    assert paper.shape[0] < 100 and paper.shape[1] > 240


def test_titles_of_narrow_pictures_are_not_cut():
    paper = sheet([plain(40, 1, 0)] * 2, ['annotation', 'panoptic'])
    assert paper.shape[1] > 2 * 60


def test_pictures_may_differ_in_size():
    paper = sheet([plain(10, 300, 5), plain(80, 30, 6)], ['a', 'b'])
    assert places_of(paper, 5).sum() == 3000
    assert places_of(paper, 6).sum() == 2400


def test_every_picture_needs_a_title():
    with pytest.raises(ValueError, match='2 pictures and 1 titles'):
        sheet([plain(4, 4, 0)] * 2, ['image'])
    with pytest.raises(ValueError, match='0 pictures'):
        sheet([], [])


@pytest.mark.parametrize('size, expected', [((128, 160), (384, 480)),
                                            ((600, 800), (600, 800)),
                                            ((3000, 4000), (1200, 1600)),
                                            ((1, 8000), (1, 1600)),
                                            ((1, 1), (480, 480))])
def test_panels_keep_the_aspect_ratio_within_limits(size, expected):
    assert panel_size(*size, smallest=480, largest=1600) == expected
    image = np.zeros((*size, 3), np.uint8)
    assert resize_image(image, *expected).shape == (*expected, 3)


@pytest.mark.parametrize('height', [360, None])
def test_legend_shows_every_color(height):
    random = np.random.default_rng(0)
    for count in (1, 11, 60):
        colors = random.integers(0, 200, (count, 3))
        panel = legend([f'class {i}' for i in range(count)], colors, 480, 16,
                       height)
        assert panel.shape[1] == 480
        assert height is None or panel.shape[0] == 360
        for color in colors:
            assert (panel == color).all(axis=2).sum() > 60


def test_legend_says_what_it_leaves_out():
    colors = np.arange(90).reshape(30, 3)
    panel = legend(['a name of some length'] * 30, colors, 200, 16, 100)
    shown = [(panel == color).all(axis=2).sum() > 60 for color in colors]
    assert shown == sorted(shown, reverse=True)
    assert 0 < sum(shown) < 30
    assert legend([], [], 30, 16, 20).shape == (20, 30, 3)


@pytest.mark.parametrize('number, size, rows, columns',
                         [(1, (300, 400), 1, 1), (3, (300, 400), 1, 3),
                          (4, (300, 400), 2, 2), (5, (300, 400), 2, 3),
                          (3, (100, 400), 3, 1), (4, (100, 400), 2, 2)])
def test_sheets_are_neither_long_nor_wasteful(number, size, rows, columns):
    pictures = [plain(*size, 10 * i) for i in range(number)]
    colors = [(1, 250, 3), (250, 1, 3)]
    whole = sheet_with_legend(pictures, ['title'] * number, ['sky', 'road'],
                              colors)
    assert 0 < whole.shape[1] - columns * size[1] < 0.2 * whole.shape[1]
    assert 0 < whole.shape[0] - rows * size[0] < 0.4 * whole.shape[0]
    for i in range(number):
        assert places_of(whole, 10 * i).sum() == size[0] * size[1]
    for color in colors:
        assert (whole == color).all(axis=2).sum() > 60


def test_sheets_need_no_class():
    whole = sheet_with_legend([plain(40, 60, 0)] * 3, list('abc'), [], [])
    assert places_of(whole, 0).sum() == 3 * 40 * 60
