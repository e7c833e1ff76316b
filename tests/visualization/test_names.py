"""Names inside their segments."""
import numpy as np
import pytest

from projects.oneformer.visualization.names import (MIN_FONT_SIZE, MIN_INSIDE,
                                                    font_size_for, place_names,
                                                    short_names, write_names)


def mosaic(height: int, width: int, count: int, seed: int = 0) -> np.ndarray:
    """A map of ``count`` cells around random points, the last one void."""
    random = np.random.default_rng(seed)
    points = random.random((count, 2)) * (height, width)
    rows, columns = np.mgrid[:height:4, :width:4]
    nearest = np.hypot(rows[..., None] - points[:, 0],
                       columns[..., None] - points[:, 1]).argmin(axis=-1)
    nearest[nearest == count - 1] = -1
    return nearest.astype(np.int16).repeat(4, axis=0).repeat(4, axis=1)


def overlap(one, other) -> bool:
    return (one[0] < other[2] and other[0] < one[2] and one[1] < other[3]
            and other[1] < one[3])


@pytest.mark.parametrize('size', [(240, 320), (480, 640), (1500, 2000)])
def test_names_stand_in_their_segments_and_apart(size):
    segment_map = mosaic(*size, count=24)
    texts = [(f'name of {index}', f'{index}') for index in range(23)]
    names = place_names(segment_map, texts, font_size_for(*size))
    assert len(names) >= 18
    assert len({name.segment for name in names}) == len(names)
    for index, name in enumerate(names):
        assert name.text in texts[name.segment]
        x0, y0, x1, y1 = name.box
        assert 0 <= x0 < x1 <= size[1] and 0 <= y0 < y1 <= size[0]
        inside = segment_map[y0:y1, x0:x1] == name.segment
        assert inside.mean() >= MIN_INSIDE
        assert not any(overlap(name.box, other.box) for other in names[:index])


def test_names_stay_apart_in_interleaved_segments():
    # comb-like segments of two pixels' width: each box meets all of them
    segment_map = np.zeros((60, 200), np.int16)
    segment_map[::20] = 1
    names = place_names(segment_map, [('plain', ), ('comb', )], 12)
    assert [name.text for name in names] == ['plain']


def test_speckles_do_not_leave_a_segment_nameless():
    segment_map = np.zeros((100, 200), np.int16)
    segment_map[::7, ::9] = -1
    assert len(place_names(segment_map, [('tree', )], 12)) == 1


def test_small_segments_get_smaller_or_no_names():
    segment_map = np.full((200, 200), -1, np.int16)
    segment_map[:90, :190] = 0
    segment_map[100:120, 10:48] = 1
    segment_map[150:156, 10:16] = 2
    names = place_names(segment_map, [('road', ), ('road', ), ('road', )], 14)
    sizes = {name.segment: name.font_size for name in names}
    assert set(sizes) == {0, 1}
    assert MIN_FONT_SIZE <= sizes[1] < sizes[0]


def test_shorter_text_where_the_preferred_one_has_no_room():
    segment_map = np.zeros((30, 50), np.int16)
    texts = [('person 87%', 'person')]
    assert place_names(segment_map, texts, 10)[0].text == 'person'
    segment_map = np.zeros((30, 120), np.int16)
    assert place_names(segment_map, texts, 10)[0].text == 'person 87%'


def test_shorter_text_before_small_print():
    segment_map = np.zeros((60, 100), np.int16)
    name, = place_names(segment_map, [('person 87%', 'person')], 22)
    assert name.text == 'person' and name.font_size > 0.8 * 22


def test_short_names_stay_different():
    assert short_names(['sky-other-merged', 'grass-merged', 'door-stuff']) == \
        ['sky', 'grass', 'door']
    assert short_names(['water-other', 'wall-brick']) == \
        ['water', 'wall-brick']
    assert short_names(['wall-other-merged', 'wall']) == \
        ['wall-other-merged', 'wall']
    assert short_names(['road, route', 'screen, crt', 'screen, silver']) == \
        ['road', 'screen, crt', 'screen, silver']
    assert short_names(['car', '-merged', ',']) == ['car', '-merged', ',']


def test_name_stands_in_the_middle_of_a_plain_segment():
    segment_map = np.full((100, 300), -1, np.int16)
    segment_map[20:80, 50:250] = 0
    (x0, y0, x1, y1), = (
        name.box for name in place_names(segment_map, [('sky', )], 12))
    assert (x0 + x1) / 2 == pytest.approx(150, abs=2)
    assert (y0 + y1) / 2 == pytest.approx(50, abs=2)


def test_font_grows_with_the_picture():
    assert font_size_for(1, 1) == font_size_for(120, 160) > MIN_FONT_SIZE
    assert font_size_for(3000, 4000) > 5 * font_size_for(360, 480)


def test_writing_changes_the_box_alone():
    segment_map = np.zeros((80, 160), np.int16)
    names = place_names(segment_map, [('grass', )], 16)
    picture = np.full((80, 160, 3), 120, np.uint8)
    write_names(picture, names, np.array([[0, 200, 40]], np.uint8))
    x0, y0, x1, y1 = names[0].box
    outside = np.ones((80, 160), bool)
    outside[y0:y1, x0:x1] = False
    assert (picture[outside] == 120).all()
    written = picture[y0:y1, x0:x1].reshape(-1, 3)
    assert (written == 255).all(axis=1).any()
    # the halo has the segment's hue, and ink fills the box
    assert (written == (0, 50, 10)).all(axis=1).any()
    ink = (picture[y0:y1, x0:x1] != 120).any(axis=2)
    assert ink[:2].any() and ink[-2:].any()
    assert ink[:, :3].any() and ink[:, -3:].any()
