"""ADE20K: panoptic, instance and semantic annotation."""
import json
import shutil

import numpy as np
import pytest
from ade20k import Ade20k
from mmdet.registry import DATASETS
from pycocotools import mask as mask_util

from projects.oneformer.datasets import CATEGORIES
from tests.tools.dataset_converters.trees import (ade20k_tree, ids, pixels,
                                                  read_json, save,
                                                  save_picture, snapshot)

CLASSES = CATEGORIES['ade20k']
THINGS = [c['id'] for c in CLASSES if c['isthing']]
# Of Mask2Former's ade20k_instance_catid_mapping.txt, both from 1.
THING_OF_INSTANCE_CLASS = {
    1: 8, 2: 9, 3: 11, 5: 15, 10: 23, 20: 38, 33: 57, 50: 81, 64: 99, 65: 103,
    77: 121, 93: 140, 94: 143, 100: 150
}  # yapf: disable
PNGS = 'ade20k_panoptic_val'
JSON = 'ade20k_panoptic_val.json'
INSTANCES = 'ade20k_instance_val.json'
SEMANTIC = 'annotations_detectron2/validation'


@pytest.fixture
def made(tmp_path, command):
    """A prepared tree and what it was made of."""
    images = ade20k_tree(tmp_path)
    status, said = command(Ade20k, tmp_path)
    assert status == 0, said
    return tmp_path, images


def box(mask):
    y, x = mask.nonzero()
    return [x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1]


def expected_segments(semantic, classes, numbers):
    """(category id, whole mask) of each segment, in their order."""
    stuff = [(c - 1, semantic == c) for c in np.unique(semantic)
             if c and not CLASSES[c - 1]['isthing']]
    return stuff + [(THINGS[classes[numbers == n][0] - 1], numbers == n)
                    for n in np.unique(numbers) if n]


def test_things_are_the_classes_of_instances():
    assert len(THINGS) == 100
    for number, semantic in THING_OF_INSTANCE_CLASS.items():
        assert THINGS[number - 1] == semantic - 1


def test_panoptic_annotation(made):
    root, images = made
    content = read_json(root / JSON)
    assert [i['id'] for i in content['images']] == list(images)
    assert [c['id'] for c in content['categories']] == list(range(150))
    for image, annotation in zip(content['images'], content['annotations']):
        semantic, classes, numbers = images[image['id']]
        assert image['file_name'] == f'{image["id"]}.jpg'
        assert (image['height'], image['width']) == semantic.shape
        assert annotation['image_id'] == image['id']
        id_map = ids(root / PNGS / annotation['file_name'])
        segments = annotation['segments_info']
        expected = expected_segments(semantic, classes, numbers)
        assert len(segments) == len(expected)
        covered = np.zeros_like(id_map)
        for segment, (category, mask) in zip(segments, expected):
            assert segment['category_id'] == category
            assert segment['iscrowd'] == 0
            assert segment['area'] == mask.sum()
            assert segment['bbox'] == box(mask)
            covered[mask] = segment['id']
        assert len({s['id'] for s in segments} | {0}) == len(segments) + 1
        assert np.array_equal(id_map, covered)


def test_odd_cases_are_in_the_annotation(made):
    root, _ = made
    annotations = read_json(root / JSON)['annotations']
    first, second = annotations[:2]
    id_map = ids(root / PNGS / first['file_name'])
    hidden = [(s['category_id'], s['area'], s['bbox'])
              for s in first['segments_info'] if not (id_map == s['id']).any()]
    assert (2, 12, [5, 4, 4, 3]) in hidden
    assert not any(s['category_id'] in THINGS for s in second['segments_info'])
    assert (id_map == 0).any()


def test_colours_of_ids_are_near_those_of_classes(made):
    root, _ = made
    for annotation in read_json(root / JSON)['annotations']:
        for segment in annotation['segments_info']:
            rgb = np.array(
                [segment['id'] >> shift & 255 for shift in (0, 8, 16)])
            color = CLASSES[segment['category_id']]['color']
            assert np.abs(rgb - color).max() <= 30


def test_instance_annotation(made):
    root, images = made
    content = read_json(root / INSTANCES)
    assert content['images'] == read_json(root / JSON)['images']
    assert [c['id'] for c in content['categories']] == THINGS
    annotations = content['annotations']
    assert [a['id']
            for a in annotations] == list(range(1,
                                                len(annotations) + 1))
    for name, (semantic, classes, numbers) in images.items():
        of_image = [a for a in annotations if a['image_id'] == name]
        things = [
            (category, mask)
            for category, mask in expected_segments(semantic, classes, numbers)
            if category in THINGS
        ]
        assert len(of_image) == len(things)
        for annotation, (category, mask) in zip(of_image, things):
            assert annotation['category_id'] == category
            assert annotation['area'] == mask.sum()
            assert annotation['bbox'] == box(mask)
            assert annotation['iscrowd'] == 0
            assert np.array_equal(
                mask_util.decode(annotation['segmentation']), mask)
    assert len(annotations) >= 4


def test_semantic_maps(made):
    root, images = made
    for name, (semantic, _, _) in images.items():
        expected = np.where(semantic == 0, 255, semantic.astype(int) - 1)
        assert np.array_equal(
            pixels(root / SEMANTIC / f'{name}.png'), expected)


def test_data_sets_load(made):
    root, images = made
    panoptic = DATASETS.build(
        dict(
            type='PanopticDataset',
            categories='ade20k',
            data_root=str(root),
            ann_file=JSON,
            data_prefix=dict(
                img='images/validation/', seg=f'{PNGS}/', sem=SEMANTIC),
            test_mode=True,
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='LoadPanopticMap')
            ],
            _scope_='mmdet'))
    assert len(panoptic) == 3
    for sample, (semantic, _, _) in zip(panoptic, images.values()):
        assert sample['gt_seg_map'].shape == semantic.shape
    instances = DATASETS.build(
        dict(
            type='InstanceDataset',
            data_root=str(root),
            ann_file=INSTANCES,
            data_prefix=dict(img='images/validation/'),
            test_mode=True,
            pipeline=[],
            _scope_='mmdet'))
    assert len(instances[0]['instances']) > 0


@pytest.mark.parametrize('change, message', [
    (lambda s, c, n: c.__setitem__((n == 2) & (np.indices(n.shape)[0] < 5), 9),
     'instance 2 is both'),
    (lambda s, c, n: c.__setitem__(n == 9, 0),
     'has the class 0 for the instance 9, expected 1 to 100'),
    (lambda s, c, n: c.__setitem__(n == 9, 101),
     'has the class 101 for the instance 9, expected 1 to 100'),
    (lambda s, c, n: s.__setitem__((0, 0), 151),
     'has the class 151, expected 1 to 150, or 0 for void'),
])  # yapf: disable
def test_wrong_annotation_is_named(tmp_path, command, change, message):
    images = ade20k_tree(tmp_path)
    name = 'ADE_val_00000003'
    semantic, classes, numbers = images[name]
    change(semantic, classes, numbers)
    save(tmp_path / f'annotations/validation/{name}.png', semantic)
    save(tmp_path / f'annotations_instance/validation/{name}.png',
         np.stack([classes, numbers, 0 * numbers], -1))
    status, said = command(Ade20k, tmp_path)
    assert status == 1
    assert 'images that cannot be converted: 1 (' in said and message in said
    assert f'{name}.png' in said
    # The rest is made, but not what must speak of all images.
    assert len(list((tmp_path / PNGS).iterdir())) == 2
    assert 'JSONs not written until the other problems are solved: 2 (' in said
    assert not (tmp_path / JSON).exists()


@pytest.mark.parametrize('kind', ['annotations', 'annotations_instance'])
@pytest.mark.parametrize('damage, message', [
    (lambda path: save_picture(path, (5, 6)), 'is 6 x 5 pixels, but its'),
    (lambda path: path.write_bytes(path.read_bytes()[:-30]),
     'cannot be decoded'),
    (lambda path: save(path, np.zeros((41, 56), np.uint16)), 'mode I;16'),
])  # yapf: disable
def test_wrong_png_is_named(tmp_path, command, kind, damage, message):
    ade20k_tree(tmp_path)
    path = tmp_path / kind / 'validation/ADE_val_00000002.png'
    damage(path)
    if kind == 'annotations' and '6 x 5' in message:
        save(path, np.zeros((5, 6), np.uint8))
    status, said = command(Ade20k, tmp_path)
    assert status == 1
    assert ('images that cannot be converted: 1 (ADE_val_00000002: '
            f'{path} ' in said)
    assert message in said


def test_a_mended_file_completes_the_data_set(tmp_path, command):
    ade20k_tree(tmp_path)
    path = tmp_path / 'annotations/validation/ADE_val_00000002.png'
    good = path.read_bytes()
    path.write_bytes(good[:90])
    assert command(Ade20k, tmp_path)[0] == 1
    path.write_bytes(good)
    status, said = command(Ade20k, tmp_path)
    assert status == 0
    assert '1 images made' in said and '2 images needed nothing' in said
    assert len(read_json(tmp_path / JSON)['annotations']) == 3
    assert command(Ade20k, tmp_path, '--check')[0] == 0


def test_images_without_annotation_are_named(tmp_path, command):
    ade20k_tree(tmp_path)
    (tmp_path /
     'annotations_instance/validation/ADE_val_00000002.png').unlink()
    (tmp_path / 'images/validation/ADE_val_00000003.jpg').unlink()
    status, said = command(Ade20k, tmp_path)
    assert status == 1
    assert 'images without annotation in ' in said
    assert 'annotations_instance/validation: 1 (ADE_val_00000002)' in said
    assert 'annotations without image in ' in said
    assert 'annotations/validation: 1 (ADE_val_00000003)' in said
    assert not (tmp_path / JSON).exists()


def rename_ids(root):
    """What the official preparation leaves: other ids and another name."""
    content = read_json(root / JSON)
    for annotation in content['annotations']:
        path = root / PNGS / annotation['file_name']
        id_map, renamed = ids(path), np.zeros_like(ids(path))
        for number, segment in enumerate(annotation['segments_info']):
            other = 77777 * (number + 1)
            renamed[id_map == segment['id']] = other
            segment['id'] = other
        save(
            path,
            np.stack([renamed >> s & 255 for s in (0, 8, 16)],
                     -1).astype(np.uint8))
    content['categories'][8]['name'] = 'window '
    (root / JSON).write_text(json.dumps(content))


def test_other_ids_are_as_good(made, command):
    root, _ = made
    rename_ids(root)
    before = snapshot(root)
    status, said = command(Ade20k, root, '--check')
    assert status == 0, said
    status, said = command(Ade20k, root)
    assert status == 0 and '3 images needed nothing' in said
    assert snapshot(root) == before


def test_other_ids_are_not_mixed_with_ours(made, command):
    """PNGs of another program, and one of them lost: all are replaced."""
    root, _ = made
    before = {name: data for name, (_, data) in snapshot(root).items()}
    rename_ids(root)
    (root / PNGS / 'ADE_val_00000002.png').unlink()
    assert command(Ade20k, root)[0] == 0
    assert {name: data for name, (_, data) in snapshot(root).items()} == before


def test_swapped_segments_are_found(made, command):
    root, _ = made
    content = read_json(root / JSON)
    first, second = content['annotations'][2]['segments_info'][-2:]
    first['id'], second['id'] = second['id'], first['id']
    (root / JSON).write_text(json.dumps(content))
    status, said = command(Ade20k, root, '--check')
    assert status == 1
    assert f'images that {root / JSON} shows otherwise than' in said
    assert ': 1 (ADE_val_00000003)' in said


def test_wrong_png_and_json_are_found(made, command):
    root, _ = made
    shutil.copy(root / SEMANTIC / 'ADE_val_00000001.png',
                root / SEMANTIC / 'ADE_val_00000002.png')
    shutil.copy(root / PNGS / 'ADE_val_00000002.png',
                root / PNGS / 'ADE_val_00000003.png')
    content = read_json(root / INSTANCES)
    content['annotations'][0]['category_id'] += 1
    (root / INSTANCES).write_text(json.dumps(content))
    before = snapshot(root)
    status, said = command(Ade20k, root, '--check')
    assert status == 1
    assert f'PNGs in {root / SEMANTIC} that are corrupt or not' in said
    assert f'PNGs in {root / PNGS} that are corrupt or not' in said
    assert f'images that {root / INSTANCES} shows otherwise' in said
    assert snapshot(root) == before
