"""Measures and ids of segments."""
import numpy as np
import pytest
from panoptic import colored_ids, measure_segments


@pytest.mark.parametrize('shape', [(1, 1), (1, 9), (9, 1), (17, 23)])
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.int32])
def test_measures(shape, dtype):
    rng = np.random.default_rng(0)
    id_map = rng.choice([0, 3, 200, 255], shape).astype(dtype)
    id_map[:, shape[1] // 2:] = id_map[0, 0]  # runs that go on in the next row
    measures = measure_segments(id_map)
    assert measures.ids.tolist() == np.unique(id_map).tolist()
    for i, area, box in zip(*measures):
        y, x = (id_map == i).nonzero()
        assert area == len(x)
        assert box.tolist() == [x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1]


def test_ids_are_distinct_and_start_with_the_colour():
    colors = [(0, 0, 0), (255, 255, 255), (10, 20, 30)]
    ids = colored_ids(colors * 255)
    assert len(set(ids)) == len(ids) and 0 not in ids
    assert ids[1] == 2**24 - 1 and ids[2] == 10 + 256 * 20 + 65536 * 30
    for i, color in zip(ids, colors * 255):
        rgb = np.array([i & 255, i >> 8 & 255, i >> 16])
        assert np.abs(rgb - color).max() <= 30
