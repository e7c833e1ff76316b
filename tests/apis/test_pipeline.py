"""Images that break MMDetection's transforms."""
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmdet.datasets.transforms import InferencerLoader, Resize
from mmengine.dataset import Compose

from projects.oneformer.apis.pipeline import bear_any_image


@pytest.fixture
def pipeline():
    return bear_any_image(
        Compose([
            InferencerLoader(),
            Resize(scale=(2048, 512), keep_ratio=True),
        ]))


@pytest.mark.parametrize('size, resized', [
    ((1, 1), (512, 512)),
    ((1, 8000), (1, 2048)),
    ((8000, 3), (2048, 1)),
    ((2, 8000), (1, 2048)),
    ((8000, 8), (2048, 2)),
    ((30, 60), (512, 1024)),
])
def test_sizes(pipeline, size, resized):
    results = pipeline(np.zeros((*size, 3), np.uint8))
    assert results['img'].shape == (*resized, 3)
    assert results['img_shape'] == resized
    assert results['ori_shape'] == size
    assert results['scale_factor'] == pytest.approx(
        (resized[1] / size[1], resized[0] / size[0]))


def test_pixels_are_those_of_resize():
    image = np.random.default_rng(0).integers(0, 256, (40, 90, 3), np.uint8)
    plain = Resize(scale=(128, 64), keep_ratio=True)
    bearing = bear_any_image(Compose([plain]))
    expected = plain(dict(img=image.copy()))
    actual = bearing(dict(img=image.copy()))
    assert set(actual) == set(expected)
    assert np.array_equal(actual['img'], expected['img'])


def test_stretching_is_left_alone():
    pipeline = bear_any_image(Compose([Resize(scale=(64, 32))]))
    assert pipeline(
        dict(img=np.zeros((1, 9, 3), np.uint8)))['img'].shape == (32, 64, 3)


def test_kinds_of_images(pipeline, tmp_path):
    """Gray, transparent and 16-bit images become three channels of 8 bits."""
    rng = np.random.default_rng(0)
    images = [
        rng.integers(0, 256, (20, 20), np.uint8),
        rng.integers(0, 256, (20, 20, 4), np.uint8),
        rng.integers(0, 65536, (20, 20, 3), np.uint16),
    ]
    for image in images:
        path = tmp_path / 'image.png'
        cv2.imwrite(str(path), image)
        for source in (str(path), Path(path), dict(img_path=str(path))):
            pixels = pipeline(source)['img']
            assert pixels.shape == (512, 512, 3) and pixels.dtype == np.uint8


def test_folders_are_no_images(pipeline, tmp_path):
    with pytest.raises(ValueError, match='is a folder, not an image'):
        pipeline(str(tmp_path))
