"""Tests of mIoU and accuracies, against plain counting and MMSegmentation."""
import numpy as np
import pytest
import torch

from projects.oneformer.evaluation import SemanticMetric
from projects.oneformer.evaluation.ground_truth import read_ground_truth


def evaluate(samples, dataset_meta, **kwargs):
    metric = SemanticMetric(**kwargs)
    metric.dataset_meta = dataset_meta
    metric.process(None, samples)
    return metric.evaluate(len(samples))


def label_maps(sample):
    """True labels, -1 where void, and predicted labels, flat."""
    truth = read_ground_truth(sample)
    labels = np.append(truth.labels, -1)[truth.index_map.astype(int) - 1]
    return labels.ravel(), sample['pred_sem_seg']['sem_seg'].numpy().ravel()


def sem(label_map, dtype=torch.int64):
    return dict(sem_seg=torch.tensor(label_map, dtype=dtype)[None])


def test_equals_a_confusion_matrix(make_scene, dataset_meta):
    samples = [make_scene(seed) for seed in range(8)]
    confusion = np.zeros((6, 7))
    for sample in samples:
        for true, predicted in zip(*label_maps(sample)):
            if true >= 0:
                confusion[true, predicted] += 1
    assert confusion[:, 6].any()  # void was predicted somewhere
    hit = confusion.diagonal()
    union = confusion.sum(1) + confusion.sum(0)[:6] - hit
    assert evaluate(samples, dataset_meta) == pytest.approx({
        'semantic/mIoU':
        100 * np.mean(hit / union),
        'semantic/mAcc':
        100 * np.mean(hit / confusion.sum(1)),
        'semantic/aAcc':
        100 * hit.sum() / confusion.sum()
    })


@pytest.mark.parametrize('seeds, absent', [(range(50, 58), 0), ([68], 1)])
def test_equals_mmsegmentation(make_scene, dataset_meta, seeds, absent):
    IoUMetric = pytest.importorskip(
        'mmseg.evaluation.metrics.iou_metric').IoUMetric
    samples = [make_scene(seed, (12, 16)) for seed in seeds]
    areas = []
    for sample in samples:
        true, predicted = map(torch.as_tensor, label_maps(sample))
        areas.append(IoUMetric.intersect_and_union(predicted, true, 6, -1))
    expected = IoUMetric.total_area_to_metrics(*map(sum, zip(*areas)))
    assert np.isnan(expected['IoU']).sum() == absent
    assert evaluate(samples, dataset_meta) == pytest.approx(
        {
            'semantic/mIoU': 100 * np.nanmean(expected['IoU']),
            'semantic/mAcc': 100 * np.nanmean(expected['Acc']),
            'semantic/aAcc': 100 * float(expected['aAcc'])
        },
        rel=1e-5)


def test_by_hand(make_sample, dataset_meta):
    # Crowd of class 0 is class 0; void in the truth does not count; class 5
    # occurs in the prediction alone: no IoU, and no part in mAcc.
    sample = make_sample([[1, 1, 2, 2, 0, 0]], [(1, 0, 1), (2, 3, 0)],
                         pred_sem_seg=sem([[0, 0, 3, 5, 4, 3]]))
    assert evaluate([sample], dataset_meta) == pytest.approx({
        'semantic/mIoU':
        100 * (1 + 0.5 + 0) / 3,
        'semantic/mAcc':
        100 * (1 + 0.5) / 2,
        'semantic/aAcc':
        75
    })


@pytest.mark.parametrize('void', [6, 255])
def test_predicted_void_misses_its_class_alone(make_sample, dataset_meta,
                                               void):
    sample = make_sample([[1, 1, 2, 2]], [(1, 0, 0), (2, 3, 0)],
                         pred_sem_seg=sem([[0, void, 3, 3]], torch.uint8))
    assert evaluate([sample], dataset_meta) == pytest.approx({
        'semantic/mIoU':
        75,
        'semantic/mAcc':
        75,
        'semantic/aAcc':
        75
    })


def test_segments_of_one_class_add_up(make_sample, dataset_meta):
    sample = make_sample([[1, 2, 2, 3]], [(1, 0, 0), (2, 0, 0), (3, 4, 0)],
                         pred_sem_seg=sem([[0, 0, 4, 4]]))
    assert evaluate([sample], dataset_meta)['semantic/mIoU'] == pytest.approx(
        100 * (2 / 3 + 1 / 2) / 2)


def test_more_classes_than_a_byte_counts(make_sample):
    sample = make_sample([[1, 2]], [(1, 7, 0), (2, 299, 0)],
                         pred_sem_seg=sem([[7, 255]], torch.uint8))
    classes = tuple(map(str, range(300)))
    result = evaluate([sample], dict(classes=classes, thing_classes=()))
    assert result['semantic/mIoU'] == pytest.approx(100 / 3)


def test_all_void_is_undefined(make_sample, dataset_meta):
    sample = make_sample(
        np.zeros((2, 2), int), [], pred_sem_seg=sem([[0, 1], [2, 3]]))
    assert all(map(np.isnan, evaluate([sample], dataset_meta).values()))


def test_classwise_table(make_sample, dataset_meta, log_lines):
    sample = make_sample([[1, 1, 2, 2]], [(1, 0, 0), (2, 3, 0)],
                         pred_sem_seg=sem([[0, 0, 3, 5]]))
    evaluate([sample], dataset_meta, classwise=True)
    rows = [line.split() for line in log_lines[-1].splitlines()]
    assert '| sky | 50.00 | 50.00 |'.split() in rows
    assert '| road | 0.00 | - |'.split() in rows
    assert '| dog | - | - |'.split() in rows
