"""Reading label PNGs, and what their values mean."""
import cv2
import numpy as np
import pytest
from PIL import Image

from projects.oneformer.datasets.semantic_map import (UNEXPECTED, VOID,
                                                      read_semantic_map,
                                                      value_table)

CLASSES = ('car', 'road', 'sky')  # by label
ORDER = (2, 0, 1)  # sky, car, road


@pytest.mark.parametrize('mode, values', [
    ('L', [[0, 1, 255]]),
    ('P', [[0, 1, 7]]),
    ('1', [[0, 1, 1]]),
])
def test_values_are_those_of_the_pixels(tmp_path, mode, values):
    array = np.array(values, bool if mode == '1' else np.uint8)
    image = Image.fromarray(array)
    if mode == 'P':
        image.putpalette([200, 100, 50] * 256)
    assert image.mode == mode
    image.save(tmp_path / 'a.png')
    read = read_semantic_map(str(tmp_path / 'a.png'))
    assert read.dtype == np.uint8
    assert read.tolist() == values


@pytest.mark.parametrize(
    'pixels', [np.ones((4, 5, 3), np.uint8),
               np.ones((4, 5), np.uint16)])
def test_other_pngs_are_refused(tmp_path, pixels):
    cv2.imwrite(str(tmp_path / 'a.png'), pixels)
    with pytest.raises(ValueError, match='a.png.*8-bit with one channel'):
        read_semantic_map(str(tmp_path / 'a.png'))


@pytest.mark.parametrize('keep', [0, 20, 60, -60])
def test_corrupt_png_is_named(tmp_path, keep):
    path = tmp_path / 'cut.png'
    cv2.imwrite(
        str(path),
        np.random.default_rng(0).integers(0, 9, (32, 32), np.uint8))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match='cut.png.*corrupt'):
        read_semantic_map(str(path))


def test_missing_png_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere.png'):
        read_semantic_map(str(tmp_path / 'nowhere.png'))


def test_values_are_indices_of_the_categories():
    table = value_table(CLASSES, ORDER)
    assert table[:4] == (2, 0, 1, UNEXPECTED)
    assert set(table[3:255]) == {UNEXPECTED}
    assert table[255] == VOID and len(table) == 256


def test_zero_may_be_void():
    table = value_table(CLASSES, ORDER, reduce_zero_label=True)
    assert table[:5] == (VOID, 2, 0, 1, UNEXPECTED)
    assert table[255] == VOID


def test_values_by_name():
    table = value_table(CLASSES, ORDER, dict(sky=255, car=[3, 4]))
    assert (table[255], table[3], table[4]) == (2, 0, 0)
    assert sum(label != VOID for label in table) == 3


@pytest.mark.parametrize('values, message', [
    (dict(tree=1), "'tree', which is none of the 3"),
    (dict(car=256), "256 of class 'car'"),
    (dict(car=-1), "-1 of class 'car'"),
    (dict(car=[1, 2], sky=2), "value 2 stands for two.*'car' and 'sky'"),
])
def test_bad_values(values, message):
    with pytest.raises(ValueError, match=message):
        value_table(CLASSES, ORDER, values)


@pytest.mark.parametrize('number, reduce', [(256, False), (255, True)])
def test_more_classes_than_values(number, reduce):
    names, order = [str(i) for i in range(number)], range(number)
    with pytest.raises(ValueError, match=f'{number} classes do not fit'):
        value_table(names, order, reduce_zero_label=reduce)
    table = value_table(names[1:], order[:-1], reduce_zero_label=reduce)
    assert table[254] == number - 2 and table[255] == VOID
