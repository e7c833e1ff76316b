"""COCO: semantic maps of the panoptic annotation."""
import json
import shutil

import numpy as np
import pytest
import torch
from coco import Coco
from mmdet.registry import DATASETS, METRICS

from projects.oneformer.datasets import CATEGORIES
from tests.tools.dataset_converters.trees import (coco_tree, ids, pixels,
                                                  read_json, save,
                                                  save_picture)

PLACES = {c['id']: place for place, c in enumerate(CATEGORIES['coco'])}
JSON = 'annotations/panoptic_val2017.json'
PNGS = 'annotations/panoptic_val2017'
MADE = 'panoptic_semseg_val2017'


def expected_map(id_map, segments):
    """Labels, one segment after the other; (id, category id, ...) each."""
    labels = np.full(id_map.shape, 255)
    for segment_id, category_id, *_ in segments:
        labels[id_map == segment_id] = PLACES[category_id]
    return labels


def test_maps_hold_places_of_classes(tmp_path, command):
    samples = coco_tree(tmp_path)
    status, said = command(Coco, tmp_path)
    assert status == 0
    assert 'val: 3 of 5000 images, a subset' in said
    assert 'val: 3 images made in ' in said and ' images/s' in said
    present = set()
    for sample in samples:
        labels = pixels(tmp_path / MADE / f'{sample["name"]}.png')
        expected = expected_map(sample['id_map'], sample['segments'])
        assert np.array_equal(labels, expected)
        present |= set(np.unique(labels))
    # void, things and stuff
    assert 255 in present and min(present) < 80 and 80 <= max(present -
                                                              {255}) < 133
    crowd_id, crowd_category, is_crowd = samples[0]['segments'][-1]
    crowd = samples[0]['id_map'] == crowd_id
    labels = pixels(tmp_path / MADE / f'{samples[0]["name"]}.png')
    assert is_crowd and crowd.any()
    assert (labels[crowd] == PLACES[crowd_category]).all()


def test_real_images(tmp_path, command, shared):
    source = shared / 'data/coco_panoptic_sample'
    shutil.copytree(source / 'input_images', tmp_path / 'val2017')
    shutil.copytree(source / 'panoptic_examples', tmp_path / PNGS)
    shutil.copy(source / 'panoptic_examples.json', tmp_path / JSON)
    (tmp_path / 'annotations/instances_val2017.json').write_text('{}')
    assert command(Coco, tmp_path)[0] == 0
    annotations = read_json(tmp_path / JSON)['annotations']
    assert len(annotations) == 2
    for annotation in annotations:
        name = annotation['file_name']
        expected = expected_map(
            ids(tmp_path / PNGS / name),
            [(s['id'], s['category_id']) for s in annotation['segments_info']])
        assert np.array_equal(pixels(tmp_path / MADE / name), expected)
    assert command(Coco, tmp_path, '--check')[0] == 0


def perfect_answer(sample):
    """What a model would answer that knows the annotation.

    COCO's labels are the places of its classes: things come first.
    """
    labels = np.full(sample['id_map'].shape, 133)
    numbers = np.zeros_like(labels)
    for number, (segment_id, category_id, _) in enumerate(sample['segments']):
        mask = sample['id_map'] == segment_id
        labels[mask] = PLACES[category_id]
        numbers[mask] = number * (PLACES[category_id] < 80)
    return dict(
        ori_shape=labels.shape,
        pred_panoptic_seg=dict(
            sem_seg=torch.tensor(labels + 1000 * numbers)[None]),
        pred_sem_seg=dict(sem_seg=torch.tensor(labels)[None]))


def test_a_perfect_answer_scores_100(tmp_path, command):
    samples = coco_tree(tmp_path)
    assert command(Coco, tmp_path)[0] == 0
    dataset = DATASETS.build(
        dict(
            type='PanopticDataset',
            categories='coco',
            data_root=str(tmp_path),
            ann_file=JSON,
            data_prefix=dict(img='val2017/', seg=f'{PNGS}/', sem=f'{MADE}/'),
            test_mode=True,
            pipeline=[],
            _scope_='mmdet'))
    assert len(dataset) == 3 and len(dataset.metainfo['classes']) == 133
    metrics = [
        METRICS.build(dict(type=name))
        for name in ('PanopticQualityMetric', 'SemanticMetric')
    ]
    for metric in metrics:
        metric.dataset_meta = dataset.metainfo
        for info, sample in zip(dataset, samples):
            metric.process(None, [dict(info, **perfect_answer(sample))])
    assert metrics[0].evaluate(3)['panoptic/PQ'] == pytest.approx(100)
    assert metrics[1].evaluate(3)['semantic/mIoU'] == pytest.approx(100)


@pytest.mark.parametrize('options', [(), ('--check', )])
def test_what_is_missing_is_named(tmp_path, command, options):
    coco_tree(tmp_path, number=8)
    command(Coco, tmp_path)
    (tmp_path / 'val2017/000000000001.jpg').unlink()
    (tmp_path / PNGS / '000000000003.png').unlink()
    save_picture(tmp_path / PNGS / 'stray.png')
    (tmp_path / 'annotations/instances_val2017.json').unlink()
    status, said = command(Coco, tmp_path, *options)
    assert status == 1
    assert (f'val: images missing in {tmp_path}/val2017: 1 (000000000001.jpg)'
            in said)
    assert f'PNGs missing in {tmp_path}/{PNGS}: 1 (000000000003.png)' in said
    assert f'PNGs in {tmp_path}/{PNGS} without annotation in ' in said
    assert ': 1 (stray.png)' in said
    assert 'instances_val2017.json' in said


def cut(path):
    path.write_bytes(path.read_bytes()[:200])


@pytest.mark.parametrize('path, damage, message', [
    (f'{PNGS}/000000000002.png', cut, 'cannot be decoded'),
    (f'{PNGS}/000000000002.png', save_picture, 'has the segment id'),
    (f'{PNGS}/000000000002.png', lambda path: save_picture(path, (8, 9)),
     'is 9 x 8 pixels, but its image'),
    (f'{PNGS}/000000000002.png', lambda path: save(
        path, np.zeros((40, 56), np.uint8)), 'has 1 channel(s)'),
    ('val2017/000000000002.jpg', lambda path: path.write_bytes(b''),
     'cannot be decoded'),
])  # yapf: disable
def test_a_wrong_file_is_named_and_the_rest_goes_on(tmp_path, command, path,
                                                    damage, message):
    coco_tree(tmp_path)
    damage(tmp_path / path)
    status, said = command(Coco, tmp_path)
    assert status == 1
    assert 'images that cannot be converted: 1 (000000000002.png: ' in said
    assert f'{tmp_path / path} ' in said
    assert message in said
    assert {p.name
            for p in (tmp_path / MADE).iterdir()
            } == {'000000000001.png', '000000000003.png'}


def test_a_cut_image_is_found_by_check(tmp_path, command):
    coco_tree(tmp_path)
    assert command(Coco, tmp_path)[0] == 0
    image = tmp_path / 'val2017/000000000003.jpg'
    image.write_bytes(image.read_bytes()[:-300])
    assert command(Coco, tmp_path)[0] == 0
    status, said = command(Coco, tmp_path, '--check')
    assert status == 1
    assert f'{image} cannot be decoded' in said


def change(path, edit):
    content = read_json(path)
    edit(content)
    path.write_text(json.dumps(content))


def test_a_category_of_no_class_is_named(tmp_path, command):
    coco_tree(tmp_path)

    def edit(content):
        segment = content['annotations'][1]['segments_info'][0]
        segment['category_id'] = 12

    change(tmp_path / JSON, edit)
    status, said = command(Coco, tmp_path)
    assert status == 1
    assert 'images that cannot be converted: 1 (' in said
    assert '000000000002.png has the category_id 12' in said


@pytest.mark.parametrize('edit, message', [
    (lambda c: c['categories'].pop(), '132 categories, 133 expected'),
    (lambda c: c['categories'][0].update(isthing=0),
     'isthing of category 1 is 0, expected 1'),
    (lambda c: c.pop('annotations'), 'has no annotations'),
    (lambda c: c['annotations'][0].pop('segments_info'),
     "lacks 'segments_info'"),
    (lambda c: c['images'][0].pop('file_name'), "lacks 'file_name'"),
])  # yapf: disable
def test_another_json_is_refused_in_a_line(tmp_path, command, edit, message):
    coco_tree(tmp_path)
    change(tmp_path / JSON, edit)
    status, said = command(Coco, tmp_path)
    assert status == 2
    assert len(said.splitlines()) == 1 and 'error: ' in said
    assert str(tmp_path / JSON) in said and message in said


def test_an_image_without_annotation_is_named(tmp_path, command):
    coco_tree(tmp_path)
    change(tmp_path / JSON, lambda content: content['annotations'].pop())
    status, said = command(Coco, tmp_path)
    assert status == 1
    assert 'images without annotation in ' in said
    assert '1 (000000000003.jpg)' in said and '1 (000000000003.png)' in said


def test_packed_annotation_is_told(tmp_path, command):
    coco_tree(tmp_path)
    shutil.rmtree(tmp_path / PNGS)
    (tmp_path / 'annotations/panoptic_val2017.zip').write_bytes(b'')
    status, said = command(Coco, tmp_path)
    assert status == 2
    assert f'{tmp_path / PNGS} does not exist, expected the panoptic PNGs' \
        in said
    assert 'unpack panoptic_val2017.zip?' in said


def test_all_splits_are_looked_at_before_one_is_made(tmp_path, command):
    coco_tree(tmp_path)
    status, said = command(Coco, tmp_path, '--splits', 'val', 'train')
    assert status == 2
    assert f'{tmp_path}/train2017 does not exist, expected the images' in said
    assert not (tmp_path / MADE).exists()
