"""Loading the id map, and its way through MMDetection's transforms."""
import cv2
import numpy as np
import pytest
from mmdet.registry import DATASETS

from tests.helpers import make_samples, write_panoptic_dataset

LOADING = [dict(type='LoadImageFromFile'), dict(type='LoadPanopticMap')]


def build(root, samples=None, pipeline=(), **kwargs):
    cfg = write_panoptic_dataset(root, samples, **kwargs)
    return DATASETS.build(dict(cfg, pipeline=LOADING + list(pipeline)))


def test_loaded_map_is_the_written_one(tmp_path):
    samples = make_samples(3)
    dataset = build(tmp_path, samples)
    for index, sample in enumerate(samples):
        id_map = dataset[index]['gt_seg_map']
        assert id_map.dtype == np.int32
        assert (id_map == sample['id_map']).all()


def test_png_of_another_size(tmp_path):
    samples = make_samples(1)
    samples[0]['image'] = np.zeros((48, 60, 3), np.uint8)
    with pytest.raises(
            ValueError,
            match='panoptic_train/image_0.png is 64 x 48.*60 x 48'):
        build(tmp_path, samples)[0]


def test_size_is_checked_without_an_image(tmp_path):
    samples = make_samples(1)
    samples[0]['image'] = np.zeros((48, 60, 3), np.uint8)
    dataset = build(tmp_path, samples)
    with pytest.raises(ValueError, match='image_0.png is 64 x 48'):
        dataset.pipeline.transforms[1](dataset.get_data_info(0))


def test_unlisted_ids_are_named(tmp_path):
    samples = make_samples(2)
    samples[1]['id_map'][:2, :7] = np.arange(501, 508)
    dataset = build(tmp_path, samples)
    dataset[0]
    with pytest.raises(
            ValueError, match=r'image_1.png has 7 .*501, 502.*505, \.\.\.'):
        dataset[1]


def test_listed_id_without_pixels_is_fine(tmp_path):
    samples = make_samples(1)
    samples[0]['segments'].append((77, 7, 0))
    assert 77 not in build(tmp_path, samples)[0]['gt_seg_map']


@pytest.mark.parametrize('damage', ['missing', 'corrupt'])
def test_bad_png_is_named(tmp_path, damage):
    dataset = build(tmp_path)
    path = tmp_path / 'panoptic_train/image_1.png'
    if damage == 'missing':
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises((ValueError, FileNotFoundError), match=str(path)):
        dataset[1]


PAD = dict(
    type='Pad', size=(112, 96), pad_val=dict(img=(255, 255, 255),
                                             seg=0))  # width, height
GEOMETRY = {
    'resize': [
        dict(
            type='RandomResize',
            scale=(96, 64),
            ratio_range=(0.5, 1.4),
            keep_ratio=True)
    ],
    'choice': [
        dict(
            type='RandomChoiceResize',
            scales=[(200, 30), (200, 80)],
            keep_ratio=True)
    ],
    'crop': [dict(type='RandomCrop', crop_size=(40, 30))],
    'flip': [dict(type='RandomFlip', prob=1.0)],
    'pad': [PAD],
}
GEOMETRY['all'] = (
    GEOMETRY['resize'] + [dict(type='RandomCrop', crop_size=(60, 50))] +
    [dict(type='RandomFlip', prob=0.5), PAD])


def agreement(image, id_map):
    """Part of the pixels where image and map show the same segment."""
    return (image[..., 0] == np.where(id_map, id_map % 251, 255)).mean()


@pytest.mark.parametrize('name', GEOMETRY)
def test_image_and_map_stay_aligned(tmp_path, name):
    # The image shows each segment's id modulo 251, and void in white.
    samples = make_samples(4)
    for sample in samples:
        grey = np.where(sample['id_map'], sample['id_map'] % 251, 255)
        sample['image'] = np.stack([grey] * 3, -1).astype(np.uint8)
    dataset = build(tmp_path, samples, GEOMETRY[name])
    np.random.seed(0)
    for index in range(4):
        ids = set(np.unique(samples[index]['id_map']).tolist())
        results = dataset[index]
        image, id_map = results['img'], results['gt_seg_map']
        assert id_map.dtype == np.int32
        assert id_map.shape == image.shape[:2]
        assert set(np.unique(id_map).tolist()) <= ids | {0}
        # Bilinear resizing blends the image at edges, so not all.
        assert agreement(image, id_map) > 0.85
        assert agreement(image, id_map[::-1]) < 0.8


def test_resizing_keeps_the_areas(tmp_path):
    # Twice the size, four times the pixels, for each segment.
    samples = make_samples(1)
    pipeline = [dict(type='Resize', scale=(128, 96), keep_ratio=True)]
    id_map = build(tmp_path, samples, pipeline)[0]['gt_seg_map']
    ids, areas = np.unique(samples[0]['id_map'], return_counts=True)
    new_ids, new_areas = np.unique(id_map, return_counts=True)
    assert new_ids.tolist() == ids.tolist()
    assert new_areas.tolist() == (4 * areas).tolist()


def test_large_ids_survive_opencv(tmp_path):
    # Ids above 2**16 and the largest of all.
    samples = make_samples(1)
    samples[0]['id_map'][:] = 256**3 - 1
    samples[0]['segments'] = [(256**3 - 1, 7, 0)]
    results = build(tmp_path, samples, GEOMETRY['resize'])[0]
    assert np.unique(results['gt_seg_map']).tolist() == [256**3 - 1]
    assert cv2.resize(results['gt_seg_map'], (9, 9), None, 0, 0,
                      cv2.INTER_NEAREST).max() == 256**3 - 1
