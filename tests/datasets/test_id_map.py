"""Decoding panoptic PNGs."""
import cv2
import numpy as np
import pytest

from projects.oneformer.datasets import id_runs, read_id_map


def write(path, rgb):
    cv2.imwrite(str(path), np.asarray(rgb)[..., ::-1])
    return str(path)


def test_id_is_red_plus_256_green_plus_65536_blue(tmp_path):
    rgb = np.array([[[1, 2, 3], [255, 0, 0]], [[0, 0, 255], [0, 255, 0]]],
                   np.uint8)
    id_map = read_id_map(write(tmp_path / 'a.png', rgb))
    assert id_map.dtype == np.int32
    expected = [[1 + 2 * 256 + 3 * 65536, 255], [255 * 65536, 255 * 256]]
    assert id_map.tolist() == expected


def test_alpha_is_ignored(tmp_path):
    rgba = np.full((3, 4, 4), 7, np.uint8)
    cv2.imwrite(str(tmp_path / 'a.png'), rgba)
    assert (read_id_map(str(tmp_path / 'a.png')) == 7 * 65793).all()


def test_missing_png_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere.png'):
        read_id_map(str(tmp_path / 'nowhere.png'))


@pytest.mark.parametrize('keep', [0, 20, 0.5, 0.99])
def test_truncated_png_is_named(tmp_path, keep):
    rgb = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    path = write(tmp_path / 'cut.png', rgb)
    data = (tmp_path / 'cut.png').read_bytes()
    keep = int(keep * len(data)) if isinstance(keep, float) else keep
    (tmp_path / 'cut.png').write_bytes(data[:keep])
    with pytest.raises(ValueError, match='cut.png.*corrupt'):
        read_id_map(path)


@pytest.mark.parametrize(
    'image', [np.ones((4, 5), np.uint8),
              np.ones((4, 5, 3), np.uint16)])
def test_other_pngs_are_refused(tmp_path, image):
    cv2.imwrite(str(tmp_path / 'grey.png'), image)
    with pytest.raises(ValueError, match='grey.png.*8-bit RGB'):
        read_id_map(str(tmp_path / 'grey.png'))


@pytest.mark.parametrize('shape', [(1, 1), (1, 9), (9, 1), (17, 23), (0, 4)])
def test_runs_rebuild_the_map(shape):
    id_map = np.random.default_rng(0).integers(0, 3, shape).astype(np.int32)
    ids, lengths = id_runs(id_map)
    assert (np.repeat(ids, lengths) == id_map.ravel()).all()
    assert (ids[1:] != ids[:-1]).all()


def test_runs_of_a_flipped_crop():
    id_map = np.arange(60, dtype=np.int32).reshape(6, 10)[1:4, 2:9][:, ::-1]
    assert (np.repeat(*id_runs(id_map)) == id_map.ravel()).all()
