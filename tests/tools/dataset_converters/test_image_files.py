"""Images on disk."""
import numpy as np
import pytest
from image_files import is_whole_png, read_pixels, read_size, write_png

from projects.oneformer.datasets import read_id_map, read_semantic_map


def test_what_is_written_is_read(tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 256, (7, 5), np.uint8)
    ids = rng.integers(0, 2**24, (7, 5)).astype(np.int32)
    ids[0, :2] = 0, 2**24 - 1
    write_png(tmp_path / 'labels.png', labels)
    write_png(tmp_path / 'ids.png', ids)
    assert np.array_equal(
        read_semantic_map(str(tmp_path / 'labels.png')), labels)
    assert np.array_equal(read_id_map(str(tmp_path / 'ids.png')), ids)
    assert read_size(tmp_path / 'ids.png', decode=True) == (7, 5)
    assert sorted(p.name
                  for p in tmp_path.iterdir()) == ['ids.png', 'labels.png']


def test_a_cut_png_is_not_whole(tmp_path):
    path = tmp_path / 'labels.png'
    assert not is_whole_png(path)
    write_png(path, np.zeros((4, 4), np.uint8))
    assert is_whole_png(path)
    data = path.read_bytes()
    for size in range(len(data)):
        path.write_bytes(data[:size])
        assert not is_whole_png(path)


def test_damage_and_other_pixels_are_named(tmp_path):
    path = tmp_path / 'labels.png'
    write_png(path, np.zeros((40, 40), np.uint8))
    with pytest.raises(
            ValueError,
            match='labels.png has pixels of mode L, '
            'expected RGB or I;16'):
        read_pixels(path, 'RGB', 'I;16')
    path.write_bytes(path.read_bytes()[:45])
    assert read_size(path) == (40, 40)
    for read in (lambda: read_size(path, decode=True),
                 lambda: read_pixels(path, 'L')):
        with pytest.raises(ValueError, match='labels.png cannot be decoded'):
            read()
