"""Tests of mIoU and accuracies, against plain counting and MMSegmentation."""
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from projects.oneformer.datasets import CATEGORIES, panoptic_metainfo
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


#: Labels in the order of the values of label PNGs.
ORDER = (2, 5, 0, 1, 4, 3)


@pytest.fixture
def make_label_sample(tmp_path):
    """A function that writes a label PNG and returns its sample."""

    def make(values, prediction, palette=False, **keys):
        path = tmp_path / f'labels_{len(list(tmp_path.iterdir()))}.png'
        image = Image.fromarray(np.asarray(values, np.uint8))
        if palette:
            image.putpalette(np.arange(768, dtype=np.uint8)[::-1].tobytes())
        image.save(path)
        return dict(
            ori_shape=np.shape(values),
            semantic_map_path=str(path),
            pred_sem_seg=sem(prediction),
            **keys)

    return make


@pytest.mark.parametrize('palette', [False, True])
def test_label_pngs_equal_a_confusion_matrix(make_label_sample, dataset_meta,
                                             palette):
    rng = np.random.default_rng(5)
    samples, confusion = [], np.zeros((6, 7))
    for _ in range(4):
        values = rng.choice([0, 1, 2, 3, 4, 5, 6, 255], (30, 40))
        known = values < 6
        true = np.array(ORDER)[np.where(known, values, 0)]
        predicted = np.where(
            rng.random(values.shape) < 0.7, true, rng.integers(0, 7, (30, 40)))
        np.add.at(confusion, (true[known], predicted[known]), 1)
        samples.append(make_label_sample(values, predicted, palette))
    hit = confusion.diagonal()
    union = confusion.sum(1) + confusion.sum(0)[:6] - hit
    meta = dict(dataset_meta, class_order=ORDER)
    assert evaluate(samples, meta) == pytest.approx({
        'semantic/mIoU':
        100 * np.mean(hit / union),
        'semantic/mAcc':
        100 * np.mean(hit / confusion.sum(1)),
        'semantic/aAcc':
        100 * hit.sum() / confusion.sum()
    })


def test_a_label_png_comes_before_the_panoptic_one(make_sample,
                                                   make_label_sample,
                                                   dataset_meta):
    sample = make_sample([[1, 1, 1, 1]], [(1, 3, 0)])
    sample.update(make_label_sample([[5, 5, 0, 255]], [[3, 3, 2, 2]]))
    meta = dict(dataset_meta, class_order=ORDER)
    assert evaluate([sample], meta)['semantic/mIoU'] == 100


def test_values_that_a_sample_explains(make_label_sample, dataset_meta):
    meta = dict(dataset_meta, class_order=ORDER)
    labels = [-1, 4, 4, 0, *[-2] * 251, -1]
    sample = make_label_sample([[0, 1, 2, 3, 255]], [[1, 4, 4, 1, 1]],
                               semantic_labels=labels)
    # Class 1 is predicted where 0 is true.
    assert evaluate([sample], meta) == pytest.approx({
        'semantic/mIoU': 100 / 3,
        'semantic/mAcc': 50,
        'semantic/aAcc': 200 / 3
    })
    sample = make_label_sample([[0, 1, 9, 7]], [[1, 4, 4, 1]],
                               semantic_labels=labels)
    with pytest.raises(ValueError, match=r'labels_1.png has .*\[7, 9\]'):
        evaluate([sample], meta)


def test_label_pngs_that_cannot_be_used(make_label_sample, dataset_meta):
    meta = dict(dataset_meta, class_order=ORDER)
    sample = make_label_sample([[0, 1]], [[0, 1]])
    path = sample['semantic_map_path']
    with pytest.raises(ValueError, match=f'{path} is 2 x 1 .* 2 x 3'):
        evaluate([dict(sample, ori_shape=(3, 2))], meta)
    Image.fromarray(np.zeros((1, 2, 3), np.uint8)).save(path)
    with pytest.raises(ValueError, match=f'{path} has pixels of mode RGB'):
        evaluate([sample], meta)
    Path(path).write_bytes(Path(path).read_bytes()[:40])
    with pytest.raises(ValueError, match=f'{path} cannot be decoded'):
        evaluate([sample], meta)
    Path(path).unlink()
    with pytest.raises(FileNotFoundError, match=path):
        evaluate([sample], meta)


def test_train_ids_of_cityscapes_equal_its_panoptic_annotation(tmp_path):
    """Prepared by cityscapesscripts, groups and ignored classes included."""
    scripts = pytest.importorskip(
        'cityscapesscripts.preparation.createPanopticImgs')
    rng = np.random.default_rng(0)
    folder = tmp_path / 'gtFine/val/ulm'
    folder.mkdir(parents=True)
    train_id = np.full(34, 255, np.uint8)
    for index, category in enumerate(CATEGORIES['cityscapes']):
        train_id[category['id']] = index
    meta = panoptic_metainfo(CATEGORIES['cityscapes'], 'cityscapes')
    for number in range(3):
        labels = np.kron(rng.integers(0, 34, (12, 16)), np.ones((4, 4), int))
        has_number = np.kron(rng.random((12, 16)), np.ones((4, 4))) < 0.7
        instances = np.where((labels >= 24) & has_number,
                             labels * 1000 + rng.integers(0, 3, labels.shape),
                             labels)
        name = f'ulm_00000{number}_000019_gtFine'
        Image.fromarray(instances.astype(np.uint16)).save(
            folder / f'{name}_instanceIds.png')
        Image.fromarray(train_id[labels]).save(folder /
                                               f'{name}_labelTrainIds.png')
    scripts.convert2panoptic(str(tmp_path / 'gtFine'), setNames=['val'])
    derived, own = [], []
    path = tmp_path / 'gtFine/cityscapes_panoptic_val.json'
    for annotation in json.loads(path.read_text())['annotations']:
        segments = [
            dict(
                segment,
                label=meta['category_ids'].index(segment['category_id']))
            for segment in annotation['segments_info']
        ]
        name = annotation['file_name']
        sample = dict(
            ori_shape=(48, 64),
            seg_map_path=str(path.with_suffix('') / name),
            segments_info=segments,
            pred_sem_seg=sem(rng.integers(0, 20, (48, 64))))
        derived.append(sample)
        own.append(
            dict(
                sample,
                semantic_map_path=str(
                    folder / name.replace('panoptic', 'labelTrainIds'))))
    result = evaluate(own, meta)
    assert result == evaluate(derived, meta)
    assert 0 < result['semantic/mIoU'] < 100
