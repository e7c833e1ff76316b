"""The examples of docs/extending.md do what they are for."""
import json

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS
from mmengine.registry import init_default_scope

from projects.oneformer.datasets import read_id_map
from projects.oneformer.tasks import TASKS
from tests.docs import workspace
from tests.docs.markdown import blocks
from tests.models import tiny

FILES = {
    block.path: block.text
    for block in blocks('docs/extending.md') if block.path
}


def names_in(path):
    """What a file of the document defines, which registers it."""
    names = {}
    exec(compile(FILES[path], path, 'exec'), names)
    return names


def test_the_backbone_returns_four_maps():
    init_default_scope('mmdet')
    backbone = names_in('my_backbone.py')['PlainNet']([8, 16, 24, 32])
    maps = backbone(torch.zeros(2, 3, 128, 96))
    assert [tuple(x.shape) for x in maps] == [(2, 8, 32, 24), (2, 16, 16, 12),
                                              (2, 24, 8, 6), (2, 32, 4, 3)]


@pytest.fixture
def streets(tmp_path, monkeypatch):
    workspace.write_streets(tmp_path / 'data/streets')
    monkeypatch.chdir(tmp_path)
    names_in('make_panoptic.py')
    return tmp_path / 'data/streets'


def test_converted_labels_are_a_panoptic_data_set(streets):
    init_default_scope('mmdet')
    dataset = DATASETS.build(
        dict(
            type='PanopticDataset',
            data_root=str(streets),
            ann_file='panoptic_val.json',
            data_prefix=dict(img='val/', seg='panoptic_val/')))
    assert dataset.metainfo['classes'] == ('car', 'sky', 'road')
    assert len(dataset) == 2
    path = str(streets / 'labels_val/a.png')
    labels = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    sample = dataset[0]
    assert sample['img_path'].endswith('val/a.jpg')
    assert np.array_equal(read_id_map(sample['seg_map_path']), labels)
    assert {
        s['id']: s['label']
        for s in sample['segments_info']
    } == {
        i: {
            1: 1,
            2: 2,
            3: 0
        }[i // 1000]
        for i in np.unique(labels).tolist() if i
    }
    content = json.loads((streets / 'panoptic_train.json').read_text())
    assert len(content['images']) == len(content['annotations']) == 2


def test_texts_say_a_class_otherwise():
    settings = names_in('my_texts.py')
    transform = settings['SayOtherwise'](dict(disc=['disc', 'circle']))
    said = {
        tuple(transform(dict(texts=['disc', 'grass']))['texts'])
        for _ in range(50)
    }
    assert said == {('a photo with a disc', 'a photo with a grass'),
                    ('a photo with a circle', 'a photo with a grass')}


def test_a_question_has_other_tokens():
    init_default_scope('mmdet')
    config = tiny.tiny_config().panoptic_head.query_formation
    config.update(
        type=names_in('my_queries.py')['AskingQueryFormation'],
        question='what are the {task} segments',
        feat_channels=tiny.WIDTH,
        num_queries=tiny.NUM_QUERIES)
    kind = config.pop('type')
    asking = kind(**config)
    tokens = asking.task_mlp.tokens
    assert tokens.shape == (len(TASKS), 77) and tokens.dtype == torch.float32
    config.pop('question')
    usual = kind.__base__(**config)
    assert not torch.equal(tokens, usual.task_mlp.tokens)
    assert len(set(map(tuple, tokens.tolist()))) == len(TASKS)
    assert set(asking.state_dict()) == set(usual.state_dict())
