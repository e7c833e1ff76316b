"""Tests of mask AP, against pycocotools itself."""
import json

import numpy as np
import pycocotools.mask as mask_util
import pytest
import torch
from mmengine.evaluator import Evaluator
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from projects.oneformer.evaluation import InstanceMetric, instance_metric
from projects.oneformer.evaluation.ground_truth import read_ground_truth
from projects.oneformer.evaluation.instance_metric import thing_annotations

# Decoding with pycocotools, on NumPy 2.
pytestmark = pytest.mark.filterwarnings(
    'ignore:__array__ implementation:DeprecationWarning')

KEYS = [
    f'instance/segm_mAP{suffix}'
    for suffix in ('', '_50', '_75', '_s', '_m', '_l')
]


def evaluate(samples, dataset_meta, **kwargs):
    metric = InstanceMetric(**kwargs)
    metric.dataset_meta = dataset_meta
    metric.process(None, samples)
    return metric.evaluate(len(samples))


def encode(mask):
    return mask_util.encode(np.asfortranarray(mask, np.uint8))


def instances(masks, labels, scores):
    masks = torch.tensor(np.asarray(masks, bool))
    return dict(
        masks=masks,
        labels=torch.tensor(labels, dtype=torch.int64),
        scores=torch.tensor(scores, dtype=torch.float32),
        bboxes=torch.zeros(len(masks), 4))


def nothing(height, width):
    return instances(np.zeros((0, height, width)), [], [])


def pycocotools_stats(samples, num_things=3):
    """The first six numbers that COCOeval prints."""
    coco = COCO()
    annotations, predictions = [], []
    for image_id, sample in enumerate(samples):
        truth = read_ground_truth(sample)
        for i, label in enumerate(truth.labels):
            mask = truth.index_map == i + 1
            if label < num_things:
                annotations.append(
                    dict(
                        id=len(annotations) + 1,
                        image_id=image_id,
                        category_id=label,
                        segmentation=encode(mask),
                        area=mask.sum(),
                        bbox=[0, 0, 1, 1],
                        iscrowd=int(truth.is_crowd[i])))
        prediction = sample['pred_instances']
        for mask, label, score in zip(prediction['masks'],
                                      prediction['labels'],
                                      prediction['scores']):
            predictions.append(
                dict(
                    image_id=image_id,
                    category_id=int(label),
                    segmentation=encode(mask.numpy()),
                    score=float(score)))
    coco.dataset = dict(
        images=[
            dict(id=i, height=x['ori_shape'][0], width=x['ori_shape'][1])
            for i, x in enumerate(samples)
        ],
        categories=[dict(id=i) for i in range(num_things)],
        annotations=annotations)
    coco.createIndex()
    evaluation = COCOeval(coco, coco.loadRes(predictions), 'segm')
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats[:6]


def test_equals_pycocotools(make_scene, make_sample, dataset_meta):
    # Larger scenes give small and medium instances, one holds no thing.
    samples = [make_scene(seed) for seed in range(20)]
    samples += [make_scene(seed, (120, 160)) for seed in range(20, 26)]
    samples.append(
        make_sample([[1] * 9], [(1, 4, 0)],
                    pred_instances=instances(np.ones((1, 1, 9)), [2], [0.99])))
    assert sum(s['iscrowd'] for x in samples for s in x['segments_info']) > 5
    expected = pycocotools_stats(samples)
    assert 0.1 < expected[0] < expected[1] < 1
    assert expected[3] > 0 and expected[4] > 0
    result = evaluate(samples, dataset_meta)
    assert list(result) == KEYS
    np.testing.assert_allclose(list(result.values()), expected, atol=1e-12)


def test_rle_predictions_count_alike(make_scene, dataset_meta):
    samples = [make_scene(seed) for seed in range(4)]
    expected = evaluate(samples, dataset_meta)
    for sample in samples:
        masks = sample['pred_instances']['masks'].numpy()
        sample['pred_instances']['masks'] = [encode(mask) for mask in masks]
    assert evaluate(samples, dataset_meta) == expected


def test_samples_are_left_as_they_are(make_scene, dataset_meta):
    sample = make_scene(1)
    keys, masks = set(sample), sample['pred_instances']['masks']
    evaluate([sample], dataset_meta)
    assert set(sample) == keys
    assert sample['pred_instances']['masks'] is masks


def test_only_the_highest_scores_count(make_sample, dataset_meta):
    half = np.zeros((4, 8), bool)
    half[:, :4] = True
    masks = [~half] * 120 + [half]
    scores = np.linspace(0.9, 0.5, 121)
    sample = make_sample(
        half.astype(int), [(1, 0, 0)],
        pred_instances=instances(masks, [0] * 121, scores))
    np.testing.assert_allclose(
        list(evaluate([sample], dataset_meta).values()),
        pycocotools_stats([sample]))
    assert evaluate([sample], dataset_meta)[KEYS[0]] == 0
    result = evaluate([sample], dataset_meta, max_per_image=121)
    assert result[KEYS[0]] == pytest.approx(1 / 121)
    assert result[KEYS[1]] == pytest.approx(1 / 121)


def test_no_prediction_at_all(make_sample, dataset_meta, log_lines):
    sample = make_sample([[1, 1]], [(1, 0, 0)], pred_instances=nothing(1, 2))
    result = evaluate([sample], dataset_meta)
    assert [result[key] for key in KEYS] == [0, 0, 0, 0, -1, -1]
    assert any('no instance' in line for line in log_lines)


def test_no_thing_at_all(make_sample, dataset_meta):
    sample = make_sample([[1, 1]], [(1, 3, 0)],
                         pred_instances=instances([[[1, 0]]], [0], [0.5]))
    assert set(evaluate([sample], dataset_meta).values()) == {-1}


def test_a_dataset_without_thing_classes(make_sample):
    sample = make_sample([[1, 1]], [(1, 0, 0)], pred_instances=nothing(1, 2))
    result = evaluate([sample], dict(classes=('sky', ), thing_classes=()))
    assert set(result.values()) == {-1}


def test_each_evaluation_has_its_own_ground_truth(make_sample, dataset_meta):
    mask = [[[1, 0]]]
    metric = InstanceMetric()
    metric.dataset_meta = dataset_meta
    values = []
    for ids in ([[1, 0]], [[0, 1]]):
        metric.process(None, [
            make_sample(
                ids, [(1, 0, 0)], pred_instances=instances(mask, [0], [0.5]))
        ])
        values.append(metric.evaluate(1)[KEYS[0]])
    assert values == pytest.approx([1, 0])


def test_annotations_of_things(make_sample):
    truth = read_ground_truth(
        make_sample([[0, 9, 9], [4, 4, 9]], [(9, 2, 1), (4, 5, 0), (6, 1, 0)]))
    annotation, = thing_annotations(truth, 3)
    assert mask_util.decode(
        annotation.pop('segmentation')).tolist() == [[0, 1, 1], [0, 0, 1]]
    assert annotation == dict(
        category_id=2, area=3, bbox=[1, 0, 2, 2], iscrowd=1)


def test_classwise_table(make_sample, dataset_meta, log_lines):
    sample = make_sample([[1, 1]], [(1, 0, 0)],
                         pred_instances=instances([[[1, 1]]], [0], [0.5]))
    evaluate([sample], dataset_meta, classwise=True)
    rows = [line.split() for line in log_lines[-1].splitlines()]
    assert '| cat | 100.00 | 100.00 | 100.00 | 100.00 | - | - |'.split(
    ) in rows
    assert '| dog | - | - | - | - | - | - |'.split() in rows


def test_two_metrics_encode_masks_once(make_scene, dataset_meta, monkeypatch):
    encoded = []
    original = instance_metric.encode_masks
    monkeypatch.setattr(instance_metric, 'encode_masks',
                        lambda masks: encoded.append(0) or original(masks))
    evaluator = Evaluator([InstanceMetric(), InstanceMetric(prefix='again')])
    evaluator.dataset_meta = dataset_meta
    for seed in range(3):
        evaluator.process([make_scene(seed), make_scene(seed + 10)])
    result = evaluator.evaluate(6)
    assert len(encoded) == 6
    assert result['instance/segm_mAP'] == result['again/segm_mAP'] > 0


#: Ids as in the annotations below; the second name is another there.
META = dict(
    classes=('cat', 'dog', 'bird', 'sky'),
    thing_classes=('cat', 'dog', 'bird'),
    category_ids=(31, 7, 12, 2))
INSTANCE_CATEGORIES = [
    dict(id=7, name='hound'),
    dict(id=12, name='bird'),
    dict(id=31, name='cat')
]
SHAPE = (120, 160)


def random_polygon(rng):
    """A triangle or larger, as numbers x, y, x, y, ..."""
    number = int(rng.integers(3, 7))
    center = rng.random(2) * (SHAPE[1], SHAPE[0])
    angles = np.sort(rng.random(number)) * 2 * np.pi
    radius = rng.choice([12, 25, 60])
    points = center + radius * np.stack([np.cos(angles), np.sin(angles)], 1)
    return np.clip(points, 0, (SHAPE[1], SHAPE[0])).ravel().round(2).tolist()


def to_rle(polygons):
    return mask_util.merge(mask_util.frPyObjects(polygons, *SHAPE))


def uncompressed(rle):
    flat = mask_util.decode(rle).ravel(order='F')
    counts = np.diff(
        np.flatnonzero(np.diff(flat, prepend=2)), append=len(flat))
    counts = counts.tolist() if not flat[0] else [0, *counts.tolist()]
    return dict(size=list(SHAPE), counts=counts)


def annotate(rng, image_id, number):
    """Overlapping polygons, RLEs and crowds, some of a wrong area."""
    annotations = []
    for _ in range(number):
        polygons = [random_polygon(rng) for _ in range(rng.integers(1, 3))]
        rle = to_rle(polygons)
        crowd = bool(rng.random() < 0.2)
        area = float(mask_util.area(rle)) * rng.choice([1, 0.2, 5])
        as_text = dict(rle, counts=rle['counts'].decode())
        annotations.append(
            dict(
                image_id=image_id,
                category_id=int(rng.choice([7, 12, 31])),
                segmentation=uncompressed(rle)
                if crowd else as_text if rng.random() < 0.3 else polygons,
                area=area,
                bbox=mask_util.toBbox(rle).tolist(),
                iscrowd=int(crowd)))
    return annotations


def predict(rng, annotations):
    """What resembles the annotations, with many equal scores."""
    masks, labels = [np.zeros(SHAPE, bool)], [0]
    for annotation in annotations:
        segmentation = annotation['segmentation']
        if isinstance(segmentation, list):
            segmentation = to_rle(segmentation)
        elif isinstance(segmentation['counts'], list):
            segmentation = mask_util.frPyObjects(segmentation, *SHAPE)
        mask = mask_util.decode(segmentation)
        masks.append(np.roll(mask, int(rng.integers(0, 8)), axis=1))
        label = META['category_ids'].index(annotation['category_id'])
        labels.append(label if rng.random() < 0.8 else rng.integers(3))
    scores = rng.choice([0.25, 0.5, 0.75, 1.0], len(masks))
    return instances(masks, labels, scores)


@pytest.fixture
def annotated(tmp_path):
    """A JSON of 12 images and samples of those 9 that are evaluated.

    Ids stand in no order; two images have no annotation.
    """
    rng = np.random.default_rng(3)
    image_ids = rng.permutation(100)[:12].tolist()
    content = dict(
        images=[
            dict(id=i, height=SHAPE[0], width=SHAPE[1], file_name=f'{i}.jpg')
            for i in image_ids
        ],
        annotations=[],
        categories=INSTANCE_CATEGORIES)
    samples = []
    for index, image_id in enumerate(image_ids):
        annotations = annotate(rng, image_id, 0 if index < 2 else 6)
        content['annotations'] += annotations
        if index < 9:
            samples.append(
                dict(
                    img_id=image_id,
                    img_path=f'{image_id}.jpg',
                    ori_shape=SHAPE,
                    pred_instances=predict(rng, annotations)))
    for number, annotation in enumerate(content['annotations'], 1):
        annotation['id'] = number
    path = tmp_path / 'instances.json'
    path.write_text(json.dumps(content))
    return str(path), samples


def pycocotools_on_file(path, samples):
    coco = COCO(path)
    predictions = [
        dict(
            image_id=sample['img_id'],
            category_id=META['category_ids'][int(label)],
            segmentation=encode(mask.numpy()),
            score=float(score)) for sample in samples
        for mask, label, score in zip(*(sample['pred_instances'][key]
                                        for key in ('masks', 'labels',
                                                    'scores')))
    ]
    evaluation = COCOeval(coco, coco.loadRes(predictions), 'segm')
    evaluation.params.imgIds = [sample['img_id'] for sample in samples]
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats[:6]


def test_original_annotation_equals_pycocotools(annotated):
    path, samples = annotated
    content = json.loads(open(path).read())
    kinds = [type(a['segmentation']) for a in content['annotations']]
    assert kinds.count(list) > 20 and kinds.count(dict) > 20
    assert sum(a['iscrowd'] for a in content['annotations']) > 5
    expected = pycocotools_on_file(path, samples)
    assert 0.05 < expected[0] < expected[1] < 1 and min(expected) > 0
    result = evaluate(samples, META, ann_file=path)
    np.testing.assert_allclose(list(result.values()), expected, atol=1e-12)
    # The order of the images is of no consequence, though scores are equal.
    assert evaluate(samples[::-1], META, ann_file=path) == result


def test_areas_of_the_original_annotation_count(annotated):
    path, samples = annotated
    before = evaluate(samples, META, ann_file=path)
    content = json.loads(open(path).read())
    for annotation in content['annotations']:
        annotation['area'] = 50**2
    with open(path, 'w') as file:
        json.dump(content, file)
    after = evaluate(samples, META, ann_file=path)
    assert before[KEYS[3]] > 0 and before[KEYS[5]] > 0
    assert after[KEYS[3]] == after[KEYS[5]] == -1
    assert after[KEYS[0]] == before[KEYS[0]]


def test_both_annotations_in_one_evaluation(annotated, make_scene):
    """Which the second metric reads without a panoptic annotation."""
    path, samples = annotated
    metric = InstanceMetric(ann_file=path, prefix='instance_original')
    evaluator = Evaluator([metric])
    evaluator.dataset_meta = META
    evaluator.process(samples)
    result = evaluator.evaluate(len(samples))
    assert set(result) == {
        key.replace('instance', 'instance_original')
        for key in KEYS
    }


def rewrite(path, **changes):
    content = dict(json.loads(open(path).read()), **changes)
    with open(path, 'w') as file:
        json.dump(content, file)


def attach(path, meta=META):
    """What a loop does when it is built."""
    metric = InstanceMetric(ann_file=path)
    metric.dataset_meta = meta
    return metric


def test_an_annotation_that_does_not_fit_is_named_at_once(annotated, tmp_path):
    path, _ = annotated
    # Names nothing before it is needed.
    InstanceMetric(ann_file='absent.json')
    with pytest.raises(FileNotFoundError, match='absent.json'):
        attach('absent.json')
    rewrite(path, categories=[dict(id=99, name='bear')])
    with pytest.raises(ValueError, match='instances.json.*bear'):
        attach(path)
    rewrite(path, categories=[dict(id=2, name='sky')], annotations=[])
    with pytest.raises(ValueError, match="instances.json.*'sky' has isthing"):
        attach(path)


@pytest.mark.parametrize('field', ['segmentation', 'area', 'category_id'])
def test_an_annotation_that_lacks_something(annotated, field):
    path, _ = annotated
    content = json.loads(open(path).read())
    del content['annotations'][4][field]
    rewrite(path, **content)
    with pytest.raises(
            ValueError, match=f"instances.json.* 5 lacks '{field}'"):
        attach(path)


def test_an_annotation_of_an_unknown_category(annotated):
    path, _ = annotated
    content = json.loads(open(path).read())
    content['annotations'][4]['category_id'] = 8
    rewrite(path, **content)
    with pytest.raises(ValueError, match='annotation 5 .*category_id 8'):
        attach(path)


def test_categories_are_found_by_name_before_ids(annotated):
    path, samples = annotated
    expected = evaluate(samples, META, ann_file=path)
    content = json.loads(open(path).read())
    other = {31: 7, 7: 12, 12: 31}
    names = {31: 'cat', 7: 'dog', 12: 'bird'}
    for annotation in content['annotations']:
        annotation['category_id'] = other[annotation['category_id']]
    content['categories'] = [
        dict(id=other[i], name=names[i]) for i in (7, 31, 12)
    ]
    rewrite(path, **content)
    assert evaluate(samples, META, ann_file=path) == expected


def test_images_that_do_not_fit_the_original_annotation(annotated):
    path, samples = annotated
    metric = attach(path)
    with pytest.raises(ValueError, match="instances.json has no .*'other'"):
        metric.process(None, [dict(samples[0], img_id='other')])
    with pytest.raises(
            ValueError, match='instances.json is 160 x 120 .* 10 x 12'):
        metric.process(None, [dict(samples[0], ori_shape=(12, 10))])
    del samples[0]['img_id']
    with pytest.raises(KeyError, match='img_id.*meta_keys'):
        metric.process(None, [samples[0]])
