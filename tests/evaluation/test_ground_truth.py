"""Tests of the reading of ground truth for all metrics."""
import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator

from projects.oneformer.datasets import PanopticDataset
from projects.oneformer.evaluation import (InstanceMetric,
                                           PanopticQualityMetric,
                                           SemanticMetric, ground_truth)
from projects.oneformer.evaluation.ground_truth import (count_pairs,
                                                        joint_runs,
                                                        read_ground_truth)


def test_ids_are_replaced_by_places_in_the_list(make_sample):
    sample = make_sample([[0, 70000], [70000, 300]], [(300, 4, 0),
                                                      (70000, 1, 1)])
    truth = read_ground_truth(sample)
    assert truth.index_map.tolist() == [[0, 2], [2, 1]]
    assert truth.labels.tolist() == [4, 1]
    assert truth.is_crowd.tolist() == [False, True]


def test_more_segments_than_a_byte_counts(make_sample):
    id_map = 5 * np.arange(400).reshape(20, 20)
    segments = [(5 * i, i % 6, 0) for i in range(1, 400)]
    truth = read_ground_truth(make_sample(id_map, segments))
    np.testing.assert_array_equal(truth.index_map,
                                  np.arange(400).reshape(20, 20))


def test_all_void(make_sample):
    truth = read_ground_truth(make_sample(np.zeros((3, 4), int), []))
    assert not truth.index_map.any() and len(truth.labels) == 0


def test_a_png_is_read_once_for_all_metrics(make_scene, dataset_meta,
                                            monkeypatch):
    read = []
    original = ground_truth.read_id_map
    monkeypatch.setattr(ground_truth, 'read_id_map',
                        lambda path: read.append(path) or original(path))
    evaluator = Evaluator(
        [PanopticQualityMetric(),
         InstanceMetric(),
         SemanticMetric()])
    evaluator.dataset_meta = dataset_meta
    samples = [make_scene(seed) for seed in range(3)]
    keys = [set(sample) for sample in samples]
    evaluator.process(samples)
    evaluator.evaluate(3)
    assert read == [sample['seg_map_path'] for sample in samples]
    assert [set(sample) for sample in samples] == keys


def test_missing_png(make_sample):
    sample = make_sample([[1]], [(1, 0, 0)])
    sample['seg_map_path'] += '.missing'
    with pytest.raises(FileNotFoundError, match='png.missing'):
        read_ground_truth(sample)


def test_corrupt_png(make_sample):
    sample = make_sample([[1]], [(1, 0, 0)])
    with open(sample['seg_map_path'], 'r+b') as file:
        file.truncate(40)
    with pytest.raises(ValueError, match=sample['seg_map_path']):
        read_ground_truth(sample)


def test_png_of_another_size(make_sample):
    sample = make_sample([[1, 1]], [(1, 0, 0)])
    sample['ori_shape'] = (3, 2)
    with pytest.raises(
            ValueError,
            match=f'{sample["seg_map_path"]} is 2 x 1 pixels.* 2 x 3'):
        read_ground_truth(sample)


def test_ids_that_are_not_listed(make_sample):
    sample = make_sample([[1, 7, 9]], [(7, 0, 0)])
    with pytest.raises(
            ValueError, match=rf'{sample["seg_map_path"]} .*\[1, 9\] \(2 in'):
        read_ground_truth(sample)


def test_id_zero_is_no_segment(make_sample):
    sample = make_sample([[0, 1]], [(0, 2, 0), (1, 2, 0)])
    with pytest.raises(ValueError, match='id 0'):
        read_ground_truth(sample)


def test_sample_without_the_annotation(make_sample):
    sample = make_sample([[1]], [(1, 0, 0)])
    del sample['segments_info']
    with pytest.raises(KeyError, match='segments_info.*meta_keys'):
        read_ground_truth(sample)


def test_pairs_are_counted_by_runs():
    first = np.array([[0, 1, 1], [1, 2, 2]], np.uint8)
    second = np.array([[2, 0, 3], [3, 3, 3]])
    runs = joint_runs(first, second)
    assert np.stack(runs).tolist() == [[0, 1, 1, 2], [2, 0, 3, 3],
                                       [1, 1, 2, 2]]
    assert count_pairs(*runs, (3, 4)).tolist() == [[0, 0, 1, 0], [1, 0, 0, 2],
                                                   [0, 0, 0, 2]]


def test_a_perfect_answer_to_real_images(shared):
    dataset = PanopticDataset(
        data_root=str(shared / 'data/coco_panoptic_sample'),
        ann_file='panoptic_examples.json',
        data_prefix=dict(img='input_images/', seg='panoptic_examples/'),
        pipeline=[])
    evaluator = Evaluator(
        [PanopticQualityMetric(),
         InstanceMetric(),
         SemanticMetric()])
    evaluator.dataset_meta = dataset.metainfo
    num_classes = len(dataset.metainfo['classes'])
    num_things = len(dataset.metainfo['thing_classes'])
    for info in dataset:
        sample = dict(info, ori_shape=(info['height'], info['width']))
        index_map, labels, *_ = read_ground_truth(sample)
        things = np.flatnonzero(labels < num_things)
        values = labels.copy()
        values[things] += 1000 * np.arange(1, len(things) + 1)
        sample['pred_panoptic_seg'] = dict(
            sem_seg=torch.tensor(
                np.append(num_classes, values)[index_map][None]))
        sample['pred_sem_seg'] = dict(
            sem_seg=torch.tensor(
                np.append(num_classes, labels)[index_map][None]))
        sample['pred_instances'] = dict(
            masks=torch.tensor(index_map == things[:, None, None] + 1),
            labels=torch.tensor(labels[things]),
            scores=torch.ones(len(things)),
            bboxes=torch.zeros(len(things), 4))
        evaluator.process([sample])
    result = evaluator.evaluate(len(dataset))
    assert len(dataset) == 2
    for key in ('panoptic/PQ', 'panoptic/PQ_th', 'panoptic/PQ_st',
                'semantic/mIoU', 'semantic/aAcc'):
        assert result[key] == pytest.approx(100)
    assert result['instance/segm_mAP'] == pytest.approx(1)
