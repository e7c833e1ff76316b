"""Tests of mask AP, against pycocotools itself."""
import numpy as np
import pycocotools.mask as mask_util
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from projects.oneformer.evaluation import InstanceMetric
from projects.oneformer.evaluation.ground_truth import read_ground_truth
from projects.oneformer.evaluation.instance_metric import (encode_masks,
                                                           thing_annotations)

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


def test_encode_masks():
    masks = np.random.default_rng(0).random((3, 5, 4)) < 0.5
    for given in (masks, torch.tensor(masks), masks.astype(np.uint8)):
        encoded = encode_masks(given)
        assert encoded == [encode(mask) for mask in masks]
    assert encode_masks(masks[:0]) == []


def test_classwise_table(make_sample, dataset_meta, log_lines):
    sample = make_sample([[1, 1]], [(1, 0, 0)],
                         pred_instances=instances([[[1, 1]]], [0], [0.5]))
    evaluate([sample], dataset_meta, classwise=True)
    rows = [line.split() for line in log_lines[-1].splitlines()]
    assert '| cat | 100.00 | 100.00 | 100.00 | 100.00 | - | - |'.split(
    ) in rows
    assert '| dog | - | - | - | - | - | - |'.split() in rows
