"""Tests of panoptic quality, against panopticapi and by hand."""
import cv2
import numpy as np
import pytest
import torch

from projects.oneformer.evaluation import PanopticQualityMetric
from projects.oneformer.evaluation.ground_truth import read_ground_truth
from projects.oneformer.evaluation.panoptic_metric import (average_quality,
                                                           match_segments,
                                                           panoptic_quality)

NAMES = dict(pq='PQ', sq='SQ', rq='RQ')
GROUPS = {'': None, '_th': True, '_st': False}


def pan(panoptic_map):
    return dict(sem_seg=torch.tensor(panoptic_map)[None].int())


def evaluate(samples, dataset_meta, **kwargs):
    metric = PanopticQualityMetric(**kwargs)
    metric.dataset_meta = dataset_meta
    metric.process(None, samples)
    return metric.evaluate(len(samples))


def panopticapi_statistics(samples, num_classes, num_things, folder):
    """PQStat of panopticapi, and its categories."""
    api = pytest.importorskip('panopticapi.evaluation')
    categories = {
        label: dict(isthing=int(label < num_things))
        for label in range(num_classes)
    }
    pairs = []
    for sample in samples:
        id_map = cv2.imread(sample['seg_map_path'])[..., ::-1].astype(int)
        id_map = id_map @ [1, 256, 65536]
        truth = [
            dict(
                id=segment['id'],
                category_id=segment['label'],
                iscrowd=segment['iscrowd'],
                area=segment.get('area', (id_map == segment['id']).sum()))
            for segment in sample['segments_info']
        ]
        panoptic_map = sample['pred_panoptic_seg']['sem_seg'][0].numpy()
        written = np.zeros(id_map.shape + (3, ), np.uint8)
        predicted = []
        for value in np.unique(panoptic_map):
            if value % 1000 < num_classes:
                predicted.append(
                    dict(id=len(predicted) + 1, category_id=int(value) % 1000))
                written[panoptic_map == value, 2] = len(predicted)
        name = f'predicted_{len(pairs)}.png'
        cv2.imwrite(str(folder / name), written)
        pairs.append((dict(
            image_id=0, file_name=sample['seg_map_path'], segments_info=truth),
                      dict(file_name=name, segments_info=predicted)))
    return api.pq_compute_single_core(0, pairs, '', str(folder),
                                      categories), categories


def test_equals_panopticapi(make_scene, make_sample, dataset_meta,
                            tmp_path_factory):
    samples = [make_scene(seed) for seed in range(40)]
    void = np.zeros((8, 8), int)
    samples.append(make_sample(void, [], pred_panoptic_seg=pan(void + 1000)))
    samples.append(
        make_sample(void + 9, [(9, 1, 0)], pred_panoptic_seg=pan(void + 6)))
    expected, categories = panopticapi_statistics(
        samples, 6, 3, tmp_path_factory.mktemp('predicted'))

    result = evaluate(samples, dataset_meta)
    assert len(result) == 9
    for suffix, isthing in GROUPS.items():
        averages, _ = expected.pq_average(categories, isthing)
        assert 0.1 < averages['pq'] < 0.9
        for name, key in NAMES.items():
            assert result[f'panoptic/{key}{suffix}'] == pytest.approx(
                100 * averages[name], abs=1e-6)

    statistics = sum(
        match_segments(
            read_ground_truth(sample), sample['pred_panoptic_seg']['sem_seg']
            [0].numpy(), 6) for sample in samples)
    assert expected.pq_per_cat[0].fp > 0 and expected.pq_per_cat[0].fn > 0
    quality = panoptic_quality(statistics)
    averages, per_class = expected.pq_average(categories, None)
    for label, of_class in per_class.items():
        stat = expected.pq_per_cat[label]
        np.testing.assert_allclose(
            statistics[:, label], [stat.iou, stat.tp, stat.fp, stat.fn],
            atol=1e-9)
        np.testing.assert_allclose(
            quality[:, label], list(of_class.values()), atol=1e-9)
    assert average_quality(quality)['n'] == averages['n'] == 6


@pytest.mark.parametrize('seed', range(100, 112))
def test_equals_panopticapi_where_classes_are_absent(make_scene, dataset_meta,
                                                     tmp_path_factory, seed):
    sample = make_scene(seed, (12, 16))
    expected, categories = panopticapi_statistics(
        [sample], 6, 3, tmp_path_factory.mktemp('predicted'))
    result = evaluate([sample], dataset_meta)
    for suffix, isthing in GROUPS.items():
        try:
            averages, _ = expected.pq_average(categories, isthing)
        except ZeroDivisionError:
            averages = dict.fromkeys(NAMES, np.nan)
        for name, key in NAMES.items():
            assert result[f'panoptic/{key}{suffix}'] == pytest.approx(
                100 * averages[name], abs=1e-6, nan_ok=True)


def test_stated_areas_count_as_in_panopticapi(make_scene, dataset_meta,
                                              tmp_path_factory):
    """As in ADE20K, where stuff has the area that things cover later."""
    samples = [make_scene(seed) for seed in range(20)]
    plain = evaluate(samples, dataset_meta)
    for sample in samples:
        for number, segment in enumerate(sample['segments_info']):
            segment['area'] = 40 + 30 * number
    expected, categories = panopticapi_statistics(
        samples, 6, 3, tmp_path_factory.mktemp('predicted'))
    result = evaluate(samples, dataset_meta)
    assert result['panoptic/PQ'] != pytest.approx(plain['panoptic/PQ'])
    assert result['panoptic/PQ'] == pytest.approx(
        100 * expected.pq_average(categories, None)[0]['pq'], abs=1e-6)


def test_by_hand(make_sample):
    # A thing of 6 pixels found with 5 of them and one more that is void, one
    # of class 1 missed, a false positive of class 0, and stuff as it is.
    ids = [[5, 5, 5, 5, 5, 5, 0], [8, 8, 8, 8, 8, 8, 8], [9, 9, 9, 9, 9, 9, 9]]
    predicted = [[1000, 1000, 1000, 1000, 1000, 6, 1000],
                 [2000, 2000, 2000, 2000, 6, 6, 6], [4, 4, 4, 4, 4, 4, 4]]
    truth = read_ground_truth(
        make_sample(ids, [(5, 0, 0), (8, 1, 0), (9, 4, 0)]))
    iou, *counts = match_segments(truth, np.array(predicted), 6)
    np.testing.assert_allclose(iou, [5 / 6, 0, 0, 0, 1, 0])
    np.testing.assert_array_equal(
        counts, [[1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0]])


@pytest.mark.parametrize('label, false_positives', [(0, 0), (1, 1)])
def test_crowd_excuses_segments_of_its_class(make_sample, label,
                                             false_positives):
    truth = read_ground_truth(
        make_sample([[3, 3, 3, 4, 4]], [(3, 0, 1), (4, 5, 0)]))
    predicted = np.array([[1, 1, 1, 1, 5]]) * 1000 + label
    predicted[0, 4] = 5
    _, true, false, missed = match_segments(truth, predicted, 6)
    assert false[label] == false_positives
    assert true[0] == missed[0] == 0  # crowd is neither found nor missed


def test_half_void_is_a_false_positive(make_sample):
    truth = read_ground_truth(make_sample([[0, 0, 7, 7]], [(7, 3, 0)]))
    false = match_segments(truth, np.array([[1000, 1000, 1000, 1000]]), 6)[2]
    assert false[0] == 1
    false = match_segments(truth, np.array([[1000, 1000, 1000, 6]]), 6)[2]
    assert false[0] == 0


def test_a_listed_segment_without_pixels_is_missed(make_sample):
    truth = read_ground_truth(make_sample([[0, 0]], [(7, 0, 0)]))
    _, _, false, missed = match_segments(truth, np.array([[1000, 1000]]), 6)
    assert missed[0] == 1 and not false.any()


def test_prediction_is_left_as_it_is(make_scene, dataset_meta):
    sample = make_scene(0)
    before = sample['pred_panoptic_seg']['sem_seg'].clone()
    assert (before == 6).any() or (before > 1000).any()
    evaluate([sample], dataset_meta)
    assert torch.equal(sample['pred_panoptic_seg']['sem_seg'], before)


def test_processes_add_up(make_scene, dataset_meta):
    samples = [make_scene(seed) for seed in range(6)]
    parts = []
    for rank in range(2):
        metric = PanopticQualityMetric(prefix='pan')
        metric.dataset_meta = dataset_meta
        metric.process(None, samples[rank::2])
        parts.append(metric.results)
    merged = [part for pair in zip(*parts) for part in pair]
    together = evaluate(samples, dataset_meta, prefix='pan')
    assert {
        f'pan/{key}': value
        for key, value in metric.compute_metrics(merged).items()
    } == together


def test_without_stuff_its_average_is_undefined(make_sample):
    sample = make_sample([[1, 1]], [(1, 0, 0)],
                         pred_panoptic_seg=pan([[1000, 1000]]))
    result = evaluate([sample],
                      dict(classes=('cat', ), thing_classes=('cat', )))
    assert result['panoptic/PQ'] == result['panoptic/PQ_th'] == 100
    assert np.isnan(result['panoptic/PQ_st'])


def test_classwise_table(make_scene, dataset_meta, log_lines):
    samples = [make_scene(seed) for seed in range(5)]
    evaluate(samples, dataset_meta)
    assert not any('grass' in line for line in log_lines)
    evaluate(samples, dataset_meta, classwise=True)
    assert any('grass' in line for line in log_lines)
