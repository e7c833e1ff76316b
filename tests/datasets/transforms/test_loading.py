"""Loading id maps, and their way through MMDetection's transforms."""
import cv2
import numpy as np
import pycocotools.mask as mask_util
import pytest
from mmdet.registry import DATASETS

from projects.oneformer.datasets import LoadInstanceMap, TaskSampling
from tests.helpers import (CATEGORIES, make_samples, write_instance_dataset,
                           write_panoptic_dataset, write_semantic_dataset)

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


def instance_results(*instances, size=(8, 10)):
    """Input of `LoadInstanceMap`; instances are (label, iscrowd, masks)."""
    return dict(
        img_path='a.png',
        img=np.zeros((*size, 3), np.uint8),
        height=size[0],
        width=size[1],
        instances=[
            dict(label=label, iscrowd=iscrowd, segmentation=segmentation)
            for label, iscrowd, segmentation in instances
        ])


def box(left, top, right, bottom):
    """A rectangle as a polygon; it covers its right and bottom edge not."""
    return [left, top, right, top, right, bottom, left, bottom]


def test_instances_are_drawn_smaller_on_top():
    small, large = [box(2, 2, 5, 5)], [box(1, 1, 8, 7)]
    parts = [box(0, 0, 2, 2), box(8, 6, 10, 8)]
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        masks = [(0, 0, small), (1, 0, large), (2, 0, parts)]
        results = LoadInstanceMap()(
            instance_results(*[masks[i] for i in order]))
        ids = {info['label']: info['id'] for info in results['segments_info']}
        assert [info['id'] for info in results['segments_info']] == [1, 2, 3]
        id_map = results['gt_seg_map']
        assert id_map.dtype == np.int32
        assert (id_map[2:5, 2:5] == ids[0]).all()
        areas = [(id_map == ids[label]).sum() for label in range(3)]
        # parts lie on the corner of the large one
        assert areas == [9, 42 - 9 - 1, 8]


def test_crowds_lie_below():
    crowd, large = [box(1, 1, 4, 4)], [box(0, 0, 8, 8)]
    results = LoadInstanceMap()(instance_results((1, 1, crowd), (0, 0, large)))
    assert (results['gt_seg_map'][:8, :8] == 2).all()
    assert results['segments_info'][0] == dict(id=1, label=1, iscrowd=1)
    sampled = TaskSampling(probabilities=dict(instance=1))(
        dict(results, classes=('a', 'b'), num_things=2, class_order=(0, 1)))
    assert sampled['gt_bboxes_labels'].tolist() == [0]
    assert sampled['gt_masks'].masks.sum() == 64


@pytest.mark.parametrize('form', ['polygon', 'counts', 'compressed', 'text'])
def test_masks_of_all_forms(form):
    mask = np.zeros((8, 10), np.uint8)
    mask[1:4, 2:7] = 1
    rle = mask_util.encode(np.asfortranarray(mask))
    segmentation = dict(
        polygon=[box(2, 1, 7, 4)],
        counts=dict(size=[8, 10], counts=[17, 3, 5, 3, 5, 3, 5, 3, 5, 3, 28]),
        compressed=rle,
        text=dict(rle, counts=rle['counts'].decode()))[form]
    results = LoadInstanceMap()(instance_results((0, 0, segmentation)))
    assert (results['gt_seg_map'] == mask).all()


def test_no_instances_and_polygons_outside():
    results = LoadInstanceMap()(instance_results())
    assert results['segments_info'] == []
    assert results['gt_seg_map'].tolist() == np.zeros((8, 10)).tolist()
    results = LoadInstanceMap()(
        instance_results((0, 0, [box(-5, -5, 3, 2)]),
                         (0, 0, [box(50, 50, 60, 60)])))
    assert (results['gt_seg_map'][:2, :3] == 1).all()
    assert results['gt_seg_map'].sum() == 6


def test_bad_instances():
    results = instance_results((0, 0, [box(0, 0, 2, 2)]))
    with pytest.raises(ValueError, match='annotation is 10 x 8.*a.png is 9 x'):
        LoadInstanceMap()(dict(results, img=np.zeros((8, 9, 3))))
    for bad in (dict(size=[8, 10]), dict(size=[8, 10], counts=[50, 99])):
        with pytest.raises(ValueError, match='segmentation of a.png'):
            LoadInstanceMap()(instance_results((0, 0, bad)))


def test_instances_stay_aligned_with_the_image(tmp_path):
    # The image shows each segment's id modulo 251.
    samples = make_samples(4)
    cfg = write_instance_dataset(tmp_path, samples)
    loading = [LOADING[0], dict(type='LoadInstanceMap')]
    dataset = DATASETS.build(dict(cfg, pipeline=loading + GEOMETRY['all'][:3]))
    np.random.seed(0)
    seen = []
    for index in range(4):
        things = [s for s in samples[index]['segments'] if s[1] in (7, 2)]
        results = dataset[index]
        values = np.array([0] + [s[0] % 251 for s in things])
        shown = values[results['gt_seg_map']]
        inside = results['gt_seg_map'] > 0
        seen.append(inside.mean())
        if inside.any():
            assert (results['img'][..., 0] == shown)[inside].mean() > 0.8
    assert sum(seen) > 0.5


def test_label_png_becomes_one_segment_per_class(tmp_path):
    samples = make_samples(3)
    cfg = write_semantic_dataset(tmp_path, samples)
    categories = [dict(c) for c in CATEGORIES]
    dataset = DATASETS.build(
        dict(
            cfg,
            categories=categories,
            pipeline=[LOADING[0], dict(type='LoadSemanticMap')]))
    label_of = {7: 0, 2: 1, 30: 2, 101: 3}
    for index, sample in enumerate(samples):
        expected = np.zeros_like(sample['id_map'])
        for segment_id, category_id, _ in sample['segments']:
            label = label_of[category_id]
            expected[sample['id_map'] == segment_id] = label + 1
        results = dataset[index]
        assert (results['gt_seg_map'] == expected).all()
        assert results['gt_seg_map'].dtype == np.int32
        labels = set(np.unique(expected).tolist()) - {0}
        # sky, car, road, dog
        assert results['segments_info'] == [
            dict(id=label + 1, label=label, iscrowd=0)
            for label in (2, 0, 3, 1) if label + 1 in labels
        ]


def test_bad_label_pngs(tmp_path):
    cfg = write_semantic_dataset(tmp_path)
    loading = [LOADING[0], dict(type='LoadSemanticMap')]
    dataset = DATASETS.build(dict(cfg, pipeline=loading))
    path = tmp_path / 'semantic_train/image_1.png'
    cv2.imwrite(str(path), np.full((48, 64), 4, np.uint8))
    with pytest.raises(ValueError, match='image_1.png has the values 4, .*4 '):
        dataset[1]
    reduced = DATASETS.build(
        dict(cfg, pipeline=loading, reduce_zero_label=True))
    assert reduced[1]['segments_info'] == [dict(id=4, label=3, iscrowd=0)]
    named = DATASETS.build(
        dict(cfg, pipeline=loading, values=dict(car=[4, 9], sky=0)))
    assert named[1]['segments_info'] == [dict(id=2, label=1, iscrowd=0)]
    cv2.imwrite(str(path), np.zeros((48, 60), np.uint8))
    with pytest.raises(ValueError, match='image_1.png is 60 x 48.*64 x 48'):
        dataset[1]
