"""Cityscapes: panoptic annotation and training ids."""
import json
from pathlib import Path

import numpy as np
import pytest
from cityscapes import Cityscapes
from mmdet.registry import DATASETS
from PIL import Image

from tests.tools.dataset_converters.trees import (cityscapes_tree, ids, pixels,
                                                  read_json, save)

# Label id -> training id of what is evaluated, of cityscapesscripts.
TRAIN_IDS = {
    7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9,
    23: 10, 24: 11, 25: 12, 26: 13, 27: 14, 28: 15, 31: 16, 32: 17, 33: 18
}  # yapf: disable
JSON = 'gtFine/cityscapes_panoptic_val.json'
PNGS = 'gtFine/cityscapes_panoptic_val'


@pytest.fixture
def made(tmp_path, command):
    """A prepared tree and what it was made of."""
    images = cityscapes_tree(tmp_path)
    status, said = command(Cityscapes, tmp_path)
    assert status == 0, said
    assert 'val: 3 of 500 images, a subset' in said
    return tmp_path, images


def label(value):
    return value // 1000 if value >= 1000 else value


def test_panoptic_annotation(made):
    root, images = made
    content = read_json(root / JSON)
    assert [i['id'] for i in content['images']
            ] == [name.split('/')[1] for name in images]
    assert [c['id'] for c in content['categories']] == list(TRAIN_IDS)
    crowds = 0
    for name, image, annotation in zip(images, content['images'],
                                       content['annotations']):
        values = images[name].astype(int)
        assert (root / 'leftImg8bit/val' / image['file_name']).is_file()
        assert (image['height'], image['width']) == values.shape
        assert annotation['image_id'] == image['id']
        wanted = [v for v in np.unique(values) if label(v) in TRAIN_IDS]
        segments = annotation['segments_info']
        assert [s['id'] for s in segments] == wanted
        for segment in segments:
            mask = values == segment['id']
            y, x = mask.nonzero()
            assert segment['category_id'] == label(segment['id'])
            assert segment['area'] == mask.sum()
            assert segment['bbox'] == [
                x.min(), y.min(),
                np.ptp(x) + 1, np.ptp(y) + 1
            ]
            is_group = 24 <= segment['id'] <= 33
            assert segment['iscrowd'] == is_group
            crowds += is_group
        kept = np.where(np.isin(values, wanted), values, 0)
        assert np.array_equal(ids(root / PNGS / annotation['file_name']), kept)
    assert crowds == 4


def test_training_ids(made):
    root, images = made
    for name, values in images.items():
        made_map = pixels(root / f'gtFine/val/{name}_gtFine_labelTrainIds.png')
        expected = np.vectorize(lambda v: TRAIN_IDS.get(label(v), 255))(values)
        assert np.array_equal(made_map, expected)


def test_equal_to_cityscapesscripts(made, tmp_path):
    peer = pytest.importorskip('cityscapesscripts.preparation.'
                               'createPanopticImgs')
    labels = pytest.importorskip('cityscapesscripts.helpers.labels')
    root, images = made
    (tmp_path / 'peer').mkdir()
    peer.convert2panoptic(
        str(root / 'gtFine'), str(tmp_path / 'peer'), setNames=['val'])
    theirs = read_json(tmp_path / 'peer/cityscapes_panoptic_val.json')
    ours = read_json(root / JSON)
    assert ours['annotations'] == theirs['annotations']
    for one, other in zip(ours['images'], theirs['images']):
        assert {**one, 'file_name': ''} == {**other, 'file_name': ''}
    for one, other in zip(ours['categories'], theirs['categories']):
        assert all(other[key] == value for key, value in one.items())
    for annotation in ours['annotations']:
        name = annotation['file_name']
        assert np.array_equal(
            ids(root / PNGS / name),
            ids(tmp_path / 'peer/cityscapes_panoptic_val' / name))
    for train_id, one in enumerate(ours['categories']):
        assert labels.id2label[one['id']].trainId == train_id


POLYGONS = [
    ('road', [(0, 20), (56, 20), (56, 40), (0, 40)]),
    ('sky', [(0, 0), (56, 0), (56, 12), (0, 12)]),
    ('parking', [(0, 30), (20, 30), (20, 40), (0, 40)]),
    ('cargroup', [(22, 16), (34, 16), (34, 30), (22, 30)]),
    ('car', [(30, 18), (44, 18), (44, 34), (30, 34)]),
    ('license plate', [(32, 22), (36, 22), (36, 25), (32, 25)]),
    ('person', [(3, 10), (9, 10), (9, 28), (3, 28)]),
    ('person', [(8, 12), (13, 12), (13, 30), (8, 30)]),
    ('trailer', [(46, 15), (54, 15), (54, 24), (46, 24)]),
    ('ego vehicle', [(0, 37), (56, 37), (56, 40), (0, 40)]),
]


def test_training_ids_equal_those_drawn_from_polygons(tmp_path, command):
    """cityscapesscripts makes them so, not from the instance ids."""
    draw = pytest.importorskip('cityscapesscripts.preparation.json2labelImg')
    draw_instances = pytest.importorskip('cityscapesscripts.preparation.'
                                         'json2instanceImg')
    name = list(cityscapes_tree(tmp_path, number=1))[0]
    objects = [dict(label=name, polygon=corners) for name, corners in POLYGONS]
    annotation = draw.Annotation()
    annotation.fromJsonText(
        json.dumps(dict(imgHeight=40, imgWidth=56, objects=objects)))
    values = draw_instances.createInstanceImage(annotation, 'ids')
    start = str(tmp_path / f'gtFine/val/{name}_gtFine_')
    save(Path(start + 'instanceIds.png'), np.asarray(values).astype(np.uint16))
    assert command(Cityscapes, tmp_path)[0] == 0
    made_map = pixels(start + 'labelTrainIds.png')
    assert set(np.unique(made_map)) == {0, 10, 11, 13, 255}
    assert np.array_equal(
        made_map, np.asarray(draw.createLabelImage(annotation, 'trainIds')))


def test_data_set_loads(made):
    root, images = made
    dataset = DATASETS.build(
        dict(
            type='PanopticDataset',
            categories='cityscapes',
            data_root=str(root),
            ann_file=JSON,
            data_prefix=dict(img='leftImg8bit/val/', seg=f'{PNGS}/'),
            test_mode=True,
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='LoadPanopticMap')
            ],
            _scope_='mmdet'))
    assert len(dataset.metainfo['thing_classes']) == 8
    for sample, values in zip(dataset, images.values()):
        assert sample['gt_seg_map'].shape == values.shape


def test_official_json_gets_true_paths_and_png_stay(made, command):
    root, _ = made
    good = (root / JSON).read_text()
    (root / JSON).write_text(
        good.replace('aachen/', '').replace('_leftImg8bit',
                                            '_gtFine_leftImg8bit'))
    times = [path.stat().st_mtime_ns for path in (root / PNGS).iterdir()]
    status, said = command(Cityscapes, root, '--check')
    assert status == 1 and f'images that {root / JSON} shows' in said
    assert command(Cityscapes, root)[0] == 0
    assert (root / JSON).read_text() == good
    assert times == [p.stat().st_mtime_ns for p in (root / PNGS).iterdir()]


def test_cities_are_paired(tmp_path, command):
    cityscapes_tree(tmp_path)
    image = tmp_path / 'leftImg8bit/val/ulm/ulm_000002_000019_leftImg8bit.png'
    image.rename(tmp_path / 'leftImg8bit/val/aachen' / image.name)
    status, said = command(Cityscapes, tmp_path)
    assert status == 1
    assert 'images without annotation in ' in said
    assert ': 1 (aachen/ulm_000002_000019)' in said
    assert 'annotations without image in ' in said
    assert ': 1 (ulm/ulm_000002_000019)' in said


@pytest.mark.parametrize('value', [34, 34000, 65535])
def test_a_value_without_label_is_named(tmp_path, command, value):
    images = cityscapes_tree(tmp_path)
    name = list(images)[1]
    images[name][3, 4] = value
    path = tmp_path / f'gtFine/val/{name}_gtFine_instanceIds.png'
    save(path, images[name])
    assert Image.open(path).mode == 'I;16'
    status, said = command(Cityscapes, tmp_path)
    assert status == 1
    assert f'{path} has the value {value}, whose label' in said


@pytest.mark.parametrize('root, expected', [
    ('', 'leftImg8bit/val does not exist, expected a folder of images for'),
    ('gtFine', 'gtFine/leftImg8bit/val does not exist'),
    ('absent', 'absent does not exist: give the folder of the data set'),
])  # yapf: disable
def test_wrong_tree_is_named_in_a_line(tmp_path, command, root, expected):
    (tmp_path / 'gtFine/val').mkdir(parents=True)
    status, said = command(Cityscapes, tmp_path / root)
    assert status == 2
    assert len(said.splitlines()) == 1 and expected in said


def test_empty_split_is_named(tmp_path, command):
    (tmp_path / 'gtFine/val').mkdir(parents=True)
    (tmp_path / 'leftImg8bit/val').mkdir(parents=True)
    status, said = command(Cityscapes, tmp_path)
    assert status == 2
    assert f'{tmp_path} has no image of the split val that could' in said
