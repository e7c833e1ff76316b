"""What each task makes of an annotation, and how often it is drawn."""
import json
from collections import Counter

import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.runner import Runner

from projects.oneformer.datasets import (LoadPanopticMap, PanopticDataset,
                                         TaskSampling, panoptic_metainfo)
from projects.oneformer.tasks import TASKS
from tests.helpers import make_samples, write_panoptic_dataset


def only(task, **kwargs):
    return TaskSampling(probabilities={task: 1}, **kwargs)


def make_results(id_map, segments, thing=(False, True, True, False, True)):
    """Input of the transform; segments are (id, category index, iscrowd)."""
    meta = panoptic_metainfo(
        [dict(id=i, name=f'c{i}', isthing=t) for i, t in enumerate(thing)],
        'x.json')
    return dict(
        gt_seg_map=np.array(id_map, np.int32),
        segments_info=[
            dict(id=i, label=meta['category_ids'].index(c), iscrowd=crowd)
            for i, c, crowd in segments
        ],
        classes=meta['classes'],
        num_things=len(meta['thing_classes']),
        class_order=meta['class_order'])


# c0 (stuff) twice, c1 (thing) twice, c4 once as a crowd, c3 absent, void 0;
# label order is c1 c2 c4 c0 c3.
ID_MAP = [[5, 5, 9, 9, 0], [3, 3, 3, 8, 0], [7, 7, 7, 7, 0]]
SEGMENTS = [(9, 0, 0), (5, 1, 0), (7, 4, 1), (3, 1, 0), (8, 0, 0), (6, 3, 0)]


@pytest.mark.parametrize('task, labels, areas, texts', [
    ('panoptic', [3, 0, 0], [3, 2, 3], ['c0', 'c1', 'c1']),
    ('instance', [0, 0], [2, 3], ['c1', 'c1']),
    ('semantic', [3, 0], [3, 5], ['c0', 'c1']),
])
def test_masks_of_each_task(task, labels, areas, texts):
    results = only(task)(make_results(ID_MAP, SEGMENTS))
    masks = results['gt_masks'].masks
    assert results['task'] == task
    assert results['gt_bboxes_labels'].tolist() == labels
    assert results['gt_bboxes_labels'].dtype == np.int64
    assert masks.dtype == np.uint8
    assert masks.shape == (len(labels), 3, 5)
    assert masks.sum((1, 2)).tolist() == areas
    assert results['texts'] == [f'a photo with a {text}' for text in texts]
    assert 'gt_seg_map' not in results


def plain_masks(task, results):
    """The mapping, segment by segment."""
    labels, masks = [], []
    for segment in results['segments_info']:
        mask = results['gt_seg_map'] == segment['id']
        label = segment['label']
        is_thing = label < results['num_things']
        if segment['iscrowd'] or not mask.any():
            continue
        if task == 'instance' and not is_thing:
            continue
        if (task == 'semantic' or not is_thing) and label in labels:
            masks[labels.index(label)] |= mask
        else:
            labels.append(label)
            masks.append(mask)
    return labels, masks


@pytest.mark.parametrize('task', TASKS)
@pytest.mark.parametrize('number', [1, 7, 40, 900])
def test_equals_the_plain_mapping(task, number):
    # 900 segments make more masks than a byte has values.
    rng = np.random.default_rng(number)
    ids = rng.choice(256**3 - 1, number, replace=False) + 1
    id_map = np.append(ids, 0)[rng.integers(0, number + 1, (40, 50))]
    id_map = np.repeat(id_map, 3, 1)[:, ::-1]
    segments = [(int(i), int(rng.integers(5)), int(rng.random() < 0.2))
                for i in ids]
    results = make_results(id_map, segments)
    labels, masks = plain_masks(task, results)
    results = only(task)(results)
    assert results['gt_bboxes_labels'].tolist() == labels
    assert results['gt_masks'].masks.shape == (len(labels), 40, 150)
    assert len(results['texts']) == len(labels)
    for mask, expected in zip(results['gt_masks'].masks, masks):
        assert (mask == expected).all()


@pytest.mark.parametrize('task', TASKS)
def test_no_masks(task):
    results = only(task)(make_results(np.zeros((6, 8)), [(4, 1, 0)]))
    assert results['gt_masks'].masks.shape == (0, 6, 8)
    assert results['gt_masks'].masks.dtype == np.uint8
    assert results['gt_bboxes_labels'].shape == (0, )
    assert results['gt_bboxes_labels'].dtype == np.int64
    assert results['texts'] == []


@pytest.mark.parametrize('task, texts', [
    ('panoptic', ['a c0 stuff', 'a c1 thing', 'a c1 thing']),
    ('instance', ['a c1 thing', 'a c1 thing']),
    ('semantic', ['a c0 stuff', 'a c1 stuff']),
])
def test_type_in_the_template(task, texts):
    transform = only(task, text_template='a {cls} {type}')
    assert transform(make_results(ID_MAP, SEGMENTS))['texts'] == texts


@pytest.mark.parametrize('template, message', [
    ('a {name}', '{name}'),
    ('a {}', '{}'),
    ('a {cls.x}', '{cls.x}'),
    ('a {cls', 'text_template'),
])
def test_bad_templates(template, message):
    with pytest.raises(ValueError, match=message):
        TaskSampling(text_template=template)


@pytest.mark.parametrize('probabilities, message', [
    (dict(panoptic=0.5, depth=0.5), "'depth' is unknown"),
    (dict(panoptic=1.5, instance=-0.5), "'instance' is -0.5"),
    (dict(panoptic=0.5, instance=0.4), 'sum to 0.9'),
    (dict(panoptic=float('nan')), 'nan'),
    (dict(panoptic=1.00001), 'sum to 1.00001'),
    (dict(), 'sum to 0'),
])
def test_bad_probabilities(probabilities, message):
    with pytest.raises(ValueError, match=message):
        TaskSampling(probabilities=probabilities)


@pytest.mark.parametrize('probabilities', [
    dict(panoptic=1 / 3, instance=1 / 3, semantic=1 / 3),
    dict(panoptic=0.2, instance=0.7, semantic=0.1000005),
    dict(semantic=0.5, panoptic=0.5),
])
def test_frequencies_follow_the_probabilities(probabilities):
    transform = TaskSampling(probabilities=probabilities)
    np.random.seed(3)
    drawn = Counter(
        transform(make_results([[1]], []))['task'] for _ in range(3000))
    assert set(drawn) == set(probabilities)
    for task, probability in probabilities.items():
        deviation = (probability * (1 - probability) / 3000)**0.5
        assert abs(drawn[task] / 3000 - probability) < 4 * deviation


def test_only_answerable_tasks_are_drawn():
    # Their probabilities keep their proportion.
    transform = TaskSampling(
        probabilities=dict(panoptic=0.2, instance=0.6, semantic=0.2))
    drawn = Counter()
    for _ in range(800):
        results = make_results([[1]], [])
        results['tasks'] = ('semantic', 'instance')
        drawn[transform(results)['task']] += 1
    assert set(drawn) == {'instance', 'semantic'}
    assert abs(drawn['instance'] / 800 - 0.75) < 0.06
    assert transform.answerable(('panoptic', )) == dict(panoptic=0.2)
    assert only('instance').answerable(('semantic', )) == {}


def test_default_is_a_third_each():
    assert TaskSampling().probabilities == {task: 1 / 3 for task in TASKS}


PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadPanopticMap'),
    dict(
        type='RandomResize',
        scale=(96, 72),
        ratio_range=(0.5, 2.0),
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=(50, 40)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='TaskSampling'),
    dict(type='PackDetInputs', meta_keys=('img_id', 'task', 'texts')),
]


def fingerprint(sample):
    data = sample['data_samples']
    masks = data.gt_instances.masks.masks
    return (data.img_id, data.task, tuple(data.texts),
            tuple(data.gt_instances.labels.tolist()),
            tuple(masks.sum((1, 2)).tolist()))


def test_same_seed_same_samples(tmp_path):
    cfg = write_panoptic_dataset(tmp_path)
    dataset = DATASETS.build(dict(cfg, pipeline=PIPELINE))
    runs = []
    for seed in (5, 5, 6):
        np.random.seed(seed)
        runs.append([fingerprint(dataset[i % 3]) for i in range(12)])
    assert runs[0] == runs[1] != runs[2]
    assert {drawn[1] for drawn in runs[0]} == set(TASKS)


def test_workers_are_reproducible_and_differ(tmp_path):
    cfg = write_panoptic_dataset(tmp_path, make_samples(16))
    runs = []
    for seed in (5, 5, 6):
        loader = Runner.build_dataloader(
            dict(
                batch_size=2,
                num_workers=2,
                sampler=dict(type='DefaultSampler', shuffle=True),
                collate_fn=dict(type='pseudo_collate'),
                dataset=dict(cfg, pipeline=PIPELINE)),
            seed=seed)
        runs.append([[
            fingerprint(dict(data_samples=sample))
            for sample in batch['data_samples']
        ] for batch in loader])
    assert runs[0] == runs[1] != runs[2]
    # Two workers take turns; with one random state they would draw alike.
    tasks = [[sample[1] for sample in batch] for batch in runs[0]]
    assert tasks[0::2] != tasks[1::2]


def test_masks_partition_the_crop(tmp_path):
    samples = make_samples(3)
    cfg = write_panoptic_dataset(tmp_path, samples)
    pipeline = [dict(t) for t in PIPELINE]
    pipeline[5]['probabilities'] = dict(panoptic=1)
    dataset = DATASETS.build(dict(cfg, pipeline=pipeline))
    np.random.seed(0)
    for index in range(3):
        packed = dataset[index]
        data = packed['data_samples']
        masks = data.gt_instances.masks.masks
        assert packed['inputs'].shape[1:] == masks.shape[1:]
        assert len(data.texts) == len(data.gt_instances) == len(masks) > 0
        assert masks.sum(0).max() == 1
        assert masks.any((1, 2)).all()
        assert 'gt_sem_seg' not in data


def test_batch_with_an_image_without_masks(tmp_path):
    samples = make_samples(2)
    samples[0].update(id_map=np.zeros((48, 64), np.int32), segments=[])
    cfg = write_panoptic_dataset(tmp_path, samples)
    pipeline = PIPELINE[:2] + PIPELINE[5:]
    dataset = DATASETS.build(dict(cfg, pipeline=pipeline))
    batch = [dataset[0], dataset[1]]
    preprocessor = MODELS.build(
        dict(
            type='DetDataPreprocessor',
            pad_size_divisor=32,
            pad_mask=True,
            mask_pad_value=0))
    data = preprocessor(
        dict(
            inputs=[b['inputs'] for b in batch],
            data_samples=[b['data_samples'] for b in batch]),
        training=True)
    assert data['inputs'].shape == (2, 3, 64, 64)
    empty, full = (d.gt_instances for d in data['data_samples'])
    assert empty.masks.masks.shape == (0, 64, 64)
    assert full.masks.masks.shape[1:] == (64, 64)
    assert empty.labels.dtype == torch.int64


@pytest.mark.parametrize('task', TASKS)
def test_official_mapping_of_coco(shared, task):
    mapping = json.loads(
        (shared / 'reference/official/mapping.json').read_text())
    dataset = PanopticDataset(
        data_root=str(shared / 'data/coco_panoptic_sample'),
        ann_file='panoptic_examples.json',
        data_prefix=dict(img='input_images', seg='panoptic_examples'),
        pipeline=[LoadPanopticMap(), only(task)])
    assert len(dataset) == len(mapping['images']) == 2
    for results in dataset:
        name = results['seg_map_path'].rsplit('/', 1)[1]
        expected = mapping['images'][name][task]
        labels = results['gt_bboxes_labels']
        assert labels.tolist() == expected['labels']
        names = [results['classes'][label] for label in labels]
        assert names == [mapping['class_names'][i] for i in labels]
        masks = results['gt_masks'].masks
        assert masks.sum((1, 2), dtype=int).tolist() == expected['areas']
        assert results['texts'] == expected['texts']


@pytest.mark.parametrize('variant', ['r50', 'swin', 'convnext', 'dinat'])
@pytest.mark.parametrize('index', [0, 1])
def test_official_training_samples(shared, variant, index):
    # Classes do not stand things first: labels are mapped, texts are not.
    folder = shared / 'reference/official'
    recorded = json.loads((folder / f'{variant}.json').read_text())
    recorded = recorded[f'train/{index}']
    arrays = np.load(folder / f'{variant}.npz')
    names = ['sky', 'car', 'road', 'tree', 'person', 'dog', 'brick wall']
    meta = panoptic_metainfo(
        [dict(id=i, name=n, isthing=i in (1, 4, 5))
         for i, n in enumerate(names)], 'x.json')  # yapf: disable
    results = only(recorded['task'])(
        dict(
            gt_seg_map=arrays[f'train/{index}/panoptic'],
            segments_info=[
                dict(
                    id=int(i), label=meta['category_ids'].index(c), iscrowd=0)
                for i, c in arrays[f'train/{index}/info']
            ],
            classes=meta['classes'],
            num_things=3,
            class_order=meta['class_order']))
    labels = [meta['category_ids'][i] for i in results['gt_bboxes_labels']]
    assert labels == arrays[f'train/{index}/labels'].tolist()
    areas = results['gt_masks'].masks.sum((1, 2), dtype=int)
    assert areas.tolist() == arrays[f'train/{index}/mask_area'].tolist()
    texts = [t for t in recorded['texts'] if not t.endswith(' photo')]
    assert results['texts'] == texts
    assert len(texts) == len(labels)
