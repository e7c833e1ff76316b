"""Data sets read from a panoptic JSON, and what is wrong with some."""
import json
from pathlib import Path

import numpy as np
import pytest
from mmdet.registry import DATASETS

from projects.oneformer.datasets import PanopticDataset
from tests.helpers import (make_samples, write_instance_dataset,
                           write_panoptic_dataset)


def edit_json(cfg, edit):
    """Let ``edit`` change the content of a data set's JSON in place."""
    path = Path(cfg['data_root']) / cfg['ann_file']
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


@pytest.fixture
def cfg(tmp_path):
    return write_panoptic_dataset(tmp_path)


def test_metainfo_has_things_first(cfg):
    meta = DATASETS.build(cfg).metainfo
    assert meta['classes'] == ('car', 'dog', 'sky', 'road')
    assert meta['thing_classes'] == ('car', 'dog')
    assert meta['stuff_classes'] == ('sky', 'road')
    assert meta['category_ids'] == (7, 2, 30, 101)
    # sky, car, road, dog in the file
    assert meta['class_order'] == (2, 0, 3, 1)


def test_sample_follows_the_json(tmp_path):
    samples = make_samples(2)
    id_map = samples[0]['id_map']
    id_map[:4] = 5
    id_map[4:8] = 11
    samples[0]['segments'] = [(11, 2, 1), (5, 101, 0), (9, 7, 0)]
    cfg = write_panoptic_dataset(tmp_path, samples, suffix='.jpg')
    info = DATASETS.build(cfg).get_data_info(0)
    assert info['segments_info'] == [
        dict(id=11, label=1, iscrowd=1, area=4 * 64),
        dict(id=5, label=3, iscrowd=0, area=4 * 64),
        dict(id=9, label=0, iscrowd=0, area=0)
    ]
    assert (info['height'], info['width']) == (48, 64)
    assert info['img_id'] == 1000
    assert Path(info['img_path']) == tmp_path / 'train/image_0.jpg'
    assert (Path(info['seg_map_path']) == tmp_path /
            'panoptic_train/image_0.png')
    assert info['classes'] == ('car', 'dog', 'sky', 'road')
    assert info['num_things'] == 2
    assert info['class_order'] == (2, 0, 3, 1)


def test_annotations_in_another_order_and_name(cfg):
    root = Path(cfg['data_root'])
    before = [DATASETS.build(cfg).get_data_info(i) for i in range(3)]

    def edit(content):
        content['annotations'].reverse()
        for annotation in content['annotations']:
            old = annotation['file_name']
            annotation['file_name'] = f'pan_{old}'
            (root / 'panoptic_train' / old).rename(root / 'panoptic_train' /
                                                   f'pan_{old}')

    edit_json(cfg, edit)
    dataset = DATASETS.build(cfg)
    for index, old in enumerate(before):
        info = dataset.get_data_info(index)
        assert info['img_path'] == old['img_path']
        assert info['segments_info'] == old['segments_info']
        assert Path(info['seg_map_path']).name == f'pan_image_{index}.png'


def test_nested_file_names(tmp_path):
    samples = make_samples(3)
    for index, sample in enumerate(samples):
        sample['name'] = f'city_{index % 2}/scene_{index}'
    cfg = write_panoptic_dataset(tmp_path, samples)
    info = DATASETS.build(cfg).get_data_info(1)
    assert info['img_path'].endswith('train/city_1/scene_1.png')
    (tmp_path / 'train/city_1/scene_1.png').unlink()
    with pytest.raises(FileNotFoundError, match='1 do not.*city_1/scene_1'):
        DATASETS.build(cfg)


def test_metainfo_of_the_config_must_agree(cfg):
    classes = ['car', 'dog', 'sky', 'road']
    palette = [[i, i, i] for i in range(4)]
    dataset = DATASETS.build(
        dict(cfg, metainfo=dict(classes=classes, palette=palette, note='x')))
    assert dataset.metainfo['palette'][3] == (3, 3, 3)
    assert dataset.metainfo['note'] == 'x'
    with pytest.raises(ValueError, match='classes.*panoptic_train.json'):
        DATASETS.build(dict(cfg, metainfo=dict(classes=classes[::-1])))
    with pytest.raises(ValueError, match='palette of 3'):
        DATASETS.build(dict(cfg, metainfo=dict(palette=palette[:3])))


def test_lazy_dataset_knows_its_classes(cfg):
    dataset = DATASETS.build(dict(cfg, lazy_init=True))
    assert dataset.metainfo['thing_classes'] == ('car', 'dog')


@pytest.fixture
def cfg_with_empty_images(tmp_path):
    samples = make_samples(4)
    samples[1]['segments'] = [(s[0], s[1], 1) for s in samples[1]['segments']]
    samples[2].update(id_map=np.zeros((20, 64), np.int32), segments=[])
    return write_panoptic_dataset(tmp_path, samples)


@pytest.mark.parametrize('filter_cfg, test_mode, kept', [
    (None, False, [0, 1, 2, 3]),
    (dict(filter_empty_gt=True), False, [0, 3]),
    (dict(filter_empty_gt=True), True, [0, 1, 2, 3]),
    (dict(min_size=32), False, [0, 1, 3]),
])
def test_filter(cfg_with_empty_images, filter_cfg, test_mode, kept):
    dataset = DATASETS.build(
        dict(
            cfg_with_empty_images, filter_cfg=filter_cfg, test_mode=test_mode))
    ids = [dataset.get_data_info(i)['img_id'] for i in range(len(dataset))]
    assert ids == [1000 - i for i in kept]


def test_filter_errors(cfg):
    with pytest.raises(ValueError, match='min_sise.*filter_empty_gt'):
        DATASETS.build(dict(cfg, filter_cfg=dict(min_sise=3)))
    with pytest.raises(ValueError, match='panoptic_train.json.*keeps'):
        DATASETS.build(dict(cfg, filter_cfg=dict(min_size=999)))


def test_category_ids_of_a_sample(cfg):
    dataset = DATASETS.build(cfg)
    labels = [s['label'] for s in dataset.get_data_info(0)['segments_info']]
    assert dataset.get_cat_ids(0) == labels


def first_segments(content):
    return content['annotations'][0]['segments_info']


@pytest.mark.parametrize('edit, message', [
    (lambda c: c['categories'][1].pop('isthing'),
     "category 'car' lacks 'isthing'"),
    (lambda c: c['categories'][1].update(isthing='yes'), "'car' has isthing"),
    (lambda c: c['categories'][1].update(id=30), 'category id 30 occurs'),
    (lambda c: c['categories'][1].update(color=[1, 2]), "'car' has color"),
    (lambda c: c.pop('categories'), 'no categories'),
    (lambda c: c.update(images=[]), 'no images'),
    (lambda c: c['images'][1].pop('height'), "image_1.png' lacks 'height'"),
    (lambda c: c['images'][1].update(id=1000), 'image id 1000 occurs'),
    (lambda c: c['annotations'].pop(1), '1 image.* no annotation: image_1'),
    (lambda c: c['images'].pop(1), '1 annotation.* no image has: 999'),
    (lambda c: c['annotations'].append(c['annotations'][2]),
     'annotation for image id 998 occurs'),
    (lambda c: c['annotations'][0].pop('segments_info'),
     "lacks 'segments_info'"),
    (lambda c: first_segments(c).append(first_segments(c)[0]),
     'image_0.png: segment id [0-9]+ occurs'),
    (lambda c: first_segments(c)[0].update(category_id=31),
     'image_0.png: segment [0-9]+ has the category_id 31'),
    (lambda c: first_segments(c)[0].update(id=0), 'image_0.png: segment id 0'),
    (lambda c: first_segments(c)[0].update(id=1 << 24), 'id 16777216 must'),
])
@pytest.mark.parametrize('test_mode', [False, True])
def test_json_errors_name_file_and_entry(cfg, edit, message, test_mode):
    edit_json(cfg, edit)
    with pytest.raises(ValueError, match=f'panoptic_train.json.*{message}'):
        DATASETS.build(dict(cfg, test_mode=test_mode))


def test_broken_and_missing_json(cfg):
    (Path(cfg['data_root']) / cfg['ann_file']).write_text('{"images": [')
    with pytest.raises(ValueError, match='panoptic_train.json is not a JSON'):
        DATASETS.build(cfg)
    with pytest.raises(FileNotFoundError, match='nowhere.json'):
        DATASETS.build(dict(cfg, ann_file='nowhere.json'))


def test_missing_prefix(cfg):
    with pytest.raises(ValueError, match="lacks 'seg'"):
        DATASETS.build(dict(cfg, data_prefix=dict(img='train/')))


@pytest.mark.parametrize('folder', ['train', 'panoptic_train'])
def test_missing_files_are_counted_and_named(cfg, folder):
    folder = Path(cfg['data_root']) / folder
    for index in (0, 2):
        (folder / f'image_{index}.png').unlink()
    with pytest.raises(FileNotFoundError) as error:
        DATASETS.build(cfg)
    assert '2 do not exist' in str(error.value)
    assert str(folder / 'image_0.png') in str(error.value)
    assert 'panoptic_train.json' in str(error.value)


def test_unlisted_pngs_are_an_error_unless_allowed(tmp_path):
    write_panoptic_dataset(tmp_path, make_samples(4))
    cfg = write_panoptic_dataset(tmp_path, make_samples(2))
    with pytest.raises(ValueError) as error:
        DATASETS.build(cfg)
    assert 'no entry for 2 of the panoptic PNGs' in str(error.value)
    assert 'panoptic_train/image_2.png' in str(error.value)
    assert 'allow_unlisted=True' in str(error.value)
    assert len(DATASETS.build(dict(cfg, allow_unlisted=True))) == 2


def test_images_beside_their_pngs_are_not_unlisted(tmp_path):
    samples = make_samples(2)
    cfg = write_panoptic_dataset(tmp_path, samples)
    for path in (tmp_path / 'panoptic_train').iterdir():
        path.rename(tmp_path / 'train' / f'pan_{path.name}')

    def edit(content):
        for annotation in content['annotations']:
            annotation['file_name'] = f'pan_{annotation["file_name"]}'

    edit_json(cfg, edit)
    cfg['data_prefix']['seg'] = 'train/'
    assert len(DATASETS.build(cfg)) == 2


def test_instance_annotation_is_recognised(tmp_path):
    cfg = write_instance_dataset(tmp_path)
    prefix = dict(img='train/', seg='train/')
    with pytest.raises(ValueError, match='COCO instance.*InstanceDataset'):
        DATASETS.build(dict(cfg, type='PanopticDataset', data_prefix=prefix))


@pytest.mark.parametrize('content', [b'', b'no image', 'cut'])
@pytest.mark.parametrize('test_mode', [False, True])
def test_corrupt_image_is_named(tmp_path, content, test_mode):
    cfg = write_panoptic_dataset(tmp_path, suffix='.jpg')
    path = tmp_path / 'train/image_1.jpg'
    if content == 'cut':
        content = path.read_bytes()[:-200]
    path.write_bytes(content)
    dataset = DATASETS.build(
        dict(
            cfg,
            test_mode=test_mode,
            pipeline=[dict(type='LoadImageFromFile')]))
    assert isinstance(dataset, PanopticDataset)
    assert dataset[0]['img'].shape == (48, 64, 3)
    with pytest.raises((ValueError, AssertionError), match='image_1.jpg'):
        dataset[1]


def test_coco_sample(shared):
    root = shared / 'data/coco_panoptic_sample'
    dataset = PanopticDataset(
        data_root=str(root),
        ann_file='panoptic_examples.json',
        data_prefix=dict(img='input_images', seg='panoptic_examples'))
    assert len(dataset.metainfo['thing_classes']) == 80
    assert len(dataset.metainfo['stuff_classes']) == 53
    assert dataset.metainfo['class_order'] == tuple(range(133))
    assert dataset.metainfo['palette'][0] == (220, 20, 60)
    crowds = [
        sum(s['iscrowd'] for s in dataset.get_data_info(i)['segments_info'])
        for i in range(2)
    ]
    assert sorted(crowds) == [1, 2]
