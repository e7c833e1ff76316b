"""COCO instance annotation, and what is wrong with some."""
import json
from pathlib import Path

import pytest
from mmdet.registry import DATASETS

from projects.oneformer.datasets import coco_json
from tests.helpers import (make_samples, write_instance_dataset,
                           write_panoptic_dataset)

SQUARE = [[2, 2, 9, 2, 9, 9, 2, 9]]


def edit_json(cfg, edit):
    """Let ``edit`` change the content of a data set's JSON in place."""
    path = Path(cfg['data_root']) / cfg['ann_file']
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


@pytest.fixture
def cfg(tmp_path):
    return write_instance_dataset(tmp_path)


def test_all_categories_are_things(cfg):
    meta = DATASETS.build(cfg).metainfo
    assert meta['classes'] == meta['thing_classes'] == ('car', 'dog')
    assert meta['stuff_classes'] == ()
    assert meta['category_ids'] == (7, 2)


def test_samples_are_the_things_of_the_panoptic_annotation(tmp_path):
    samples = make_samples(4)
    samples[1]['segments'] = [(s[0], s[1], 1) for s in samples[1]['segments']]
    things = DATASETS.build(write_instance_dataset(tmp_path, samples))
    whole = DATASETS.build(write_panoptic_dataset(tmp_path, samples))
    for index in range(4):
        info, other = things.get_data_info(index), whole.get_data_info(index)
        for key in ('img_path', 'img_id', 'height', 'width'):
            assert info[key] == other[key]
        assert [(i['label'], i['iscrowd'])
                for i in info['instances']] == [(s['label'], s['iscrowd'])
                                                for s in other['segments_info']
                                                if s['label'] < 2]


def test_images_may_have_no_instance(cfg):
    edit_json(cfg, lambda c: c.update(annotations=[]))
    dataset = DATASETS.build(cfg)
    assert len(dataset) == 3
    assert dataset.get_data_info(0)['instances'] == []
    with pytest.raises(ValueError, match='instances_train.json.*keeps'):
        DATASETS.build(dict(cfg, filter_cfg=dict(filter_empty_gt=True)))


def test_ignored_instances_are_crowds(cfg):
    edit_json(cfg, lambda c: c['annotations'][0].update(ignore=1, iscrowd=0))
    instances = DATASETS.build(cfg).get_data_info(0)['instances']
    assert [i['iscrowd'] for i in instances][:2] == [1, 0]


def test_annotations_without_a_mask_are_left_out_and_told(cfg, monkeypatch):
    told = []
    monkeypatch.setattr(coco_json, 'print_log',
                        lambda text, **_: told.append(text))

    def edit(content):
        number = len(content['annotations'])
        box, line, cut = content['annotations'][:3]
        del box['segmentation']
        line['segmentation'] = [[1, 1, 5, 5]]
        cut['segmentation'] = SQUARE + [[1, 1, 5]]
        edit.number = number

    edit_json(cfg, edit)
    dataset = DATASETS.build(cfg)
    instances = [
        instance for index in range(3)
        for instance in dataset.get_data_info(index)['instances']
    ]
    assert len(instances) == edit.number - 2
    assert instances[0]['segmentation'] == SQUARE
    assert f': 2 of {edit.number} annotations are left out' in told[0]


def test_boxes_alone_are_refused(cfg):

    def edit(content):
        for annotation in content['annotations']:
            annotation['segmentation'] = []

    edit_json(cfg, edit)
    with pytest.raises(ValueError, match='none of its .* boxes are not'):
        DATASETS.build(cfg)


@pytest.mark.parametrize('edit, message', [
    (lambda c: c['categories'][0].pop('name'), "category 7 lacks 'name'"),
    (lambda c: c['categories'][1].update(id=7), 'category id 7 occurs'),
    (lambda c: c.pop('annotations'), 'no annotations'),
    (lambda c: c['images'][1].pop('width'), "image_1.png' lacks 'width'"),
    (lambda c: c['images'][1].update(id=1000), 'image id 1000 occurs'),
    (lambda c: c['annotations'][0].pop('category_id'),
     "1 lacks 'category_id'"),
    (lambda c: c['annotations'][0].update(image_id=3),
     r'1 annotation\(s\).* no image has: 3'),
    (lambda c: c['annotations'][0].update(category_id=31),
     'image_0.png: annotation 1 has the category_id 31'),
    (lambda c: c['annotations'][0]['segmentation'].update(size=[64, 48]),
     r'image_0.png: annotation 1 .*\[64, 48\].*\[48, 64\]'),
    (lambda c: c['categories'][0].update(isthing=0), "'car' is stuff"),
])
def test_errors_name_file_and_entry(cfg, edit, message):
    edit_json(cfg, edit)
    with pytest.raises(ValueError, match=f'instances_train.json.*{message}'):
        DATASETS.build(cfg)


def test_stuff_of_the_config_has_no_instances(cfg):
    categories = [
        dict(id=1, name='car', isthing=1),
        dict(id=2, name='dog', isthing=0)
    ]
    with pytest.raises(ValueError, match="'dog' has isthing 1, but 0"):
        DATASETS.build(dict(cfg, categories=categories))


def test_missing_image(cfg):
    (Path(cfg['data_root']) / 'train/image_2.png').unlink()
    with pytest.raises(FileNotFoundError, match='1 do not exist.*image_2.png'):
        DATASETS.build(cfg)


def test_panoptic_annotation_is_recognised(tmp_path):
    cfg = write_panoptic_dataset(tmp_path)
    with pytest.raises(ValueError, match='COCO panoptic.*PanopticDataset'):
        DATASETS.build(dict(cfg, type='InstanceDataset'))
