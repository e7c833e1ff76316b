"""Panoptic quality, computed from label maps in memory."""
from typing import Dict, List, Optional, Sequence

import numpy as np
from mmdet.evaluation.metrics import coco_panoptic_metric
from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric

from .ground_truth import (GroundTruth, count_pairs, joint_runs,
                           read_ground_truth)
from .predictions import get_segmentation_map, number_segments


@METRICS.register_module()
class PanopticQualityMetric(BaseMetric):
    """PQ, SQ and RQ of all classes, things (``_th``) and stuff (``_st``).

    Equal to ``panopticapi``, whose PNGs and JSONs it does without. An average
    over no class at all (a dataset without stuff), where ``panopticapi``
    divides by zero, is nan.

    Args:
        classwise: Whether to log PQ, SQ and RQ of each class.
        collect_device, prefix: See ``BaseMetric``.
    """
    task = 'panoptic'
    default_prefix = 'panoptic'

    def __init__(self,
                 classwise: bool = False,
                 collect_device: str = 'cpu',
                 prefix: Optional[str] = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.classwise = classwise

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Append the statistics of each image to ``self.results``.

        Args:
            data_batch: Not used.
            data_samples: Samples as dicts, see `read_ground_truth` and
                `number_segments`.
        """
        num_classes = len(self.dataset_meta['classes'])
        for sample in data_samples:
            self.results.append(
                match_segments(
                    read_ground_truth(sample),
                    get_segmentation_map(sample, self.task), num_classes))

    def compute_metrics(self, results: List[np.ndarray]) -> Dict[str, float]:
        """Average over the classes that occur.

        Args:
            results: Statistics of each image, see `match_segments`.

        Returns:
            PQ, SQ, RQ, PQ_th, SQ_th, RQ_th, PQ_st, SQ_st and RQ_st in percent.
        """
        classes = self.dataset_meta['classes']
        quality = panoptic_quality(sum(results))
        num_things = len(self.dataset_meta['thing_classes'])
        groups = dict(
            All=average_quality(quality),
            Things=average_quality(quality[:, :num_things]),
            Stuff=average_quality(quality[:, num_things:]))
        classwise = {
            name: dict(zip(('pq', 'sq', 'rq'), values))
            for name, values in zip(classes, quality.T)
        }
        coco_panoptic_metric.print_panoptic_table(
            groups, classwise if self.classwise else None, 'current')
        return coco_panoptic_metric.parse_pq_results(groups)


def match_segments(ground_truth: GroundTruth, panoptic_map: np.ndarray,
                   num_classes: int) -> np.ndarray:
    """Match the predicted with the annotated segments of one image.

    As ``panopticapi``'s ``pq_compute_single_core``: segments of one class
    match when their IoU, void left out, exceeds 0.5; crowd matches nothing;
    a segment that lies by more than half in void or crowd of its class (the
    last crowd segment listed, if there are several) is no false positive.
    Areas are those that the annotation states, where it does.

    Args:
        panoptic_map: Prediction (H, W), see `number_segments`; not changed.

    Returns:
        float64 (4, num_classes): sum of matched IoUs, true positives, false
        positives and false negatives of each class.
    """
    labels, is_crowd = ground_truth.labels, ground_truth.is_crowd
    index, values, lengths = joint_runs(ground_truth.index_map, panoptic_map)
    pred_index, pred_labels = number_segments(values, num_classes)
    pairs = count_pairs(index, pred_index, lengths,
                        (len(labels) + 1, len(pred_labels) + 1))
    overlap, ignored = pairs[1:, 1:], pairs[0, 1:].copy()
    stated, pred_area = ground_truth.area, pairs[:, 1:].sum(0)
    area = np.where(stated < 0, pairs[1:].sum(1), stated)

    # A segment without pixels against one all in void has no union.
    union = np.maximum(area[:, None] + pred_area - overlap - ignored, 1)
    iou = overlap / union
    matched = (iou > 0.5) & (labels[:, None] == pred_labels)
    matched[is_crowd] = False
    rows, columns = matched.nonzero()
    missed = ~matched.any(1) & ~is_crowd

    crowd_of_class = np.full(num_classes, -1)
    crowd_of_class[labels[is_crowd]] = np.flatnonzero(is_crowd)
    crowd = crowd_of_class[pred_labels]
    near_crowd = np.flatnonzero(crowd >= 0)
    ignored[near_crowd] += overlap[crowd[near_crowd], near_crowd]
    wrong = ~matched.any(0) & (ignored / pred_area <= 0.5)

    return np.stack([
        np.bincount(labels[rows], iou[rows, columns], num_classes),
        np.bincount(labels[rows], minlength=num_classes),
        np.bincount(pred_labels[wrong], minlength=num_classes),
        np.bincount(labels[missed], minlength=num_classes)
    ])


def panoptic_quality(statistics: np.ndarray) -> np.ndarray:
    """PQ, SQ and RQ of each class.

    Args:
        statistics: (4, num_classes), see `match_segments`.

    Returns:
        Fractions (3, num_classes), nan where a class never occurs.
    """
    iou, true_positive, false_positive, false_negative = statistics
    size = true_positive + 0.5 * false_positive + 0.5 * false_negative
    size = np.where(size > 0, size, np.nan)
    segmentation_quality = iou / np.maximum(true_positive, 1)
    segmentation_quality[np.isnan(size)] = np.nan
    return np.stack([iou / size, segmentation_quality, true_positive / size])


def average_quality(quality: np.ndarray) -> Dict[str, float]:
    """Mean of the columns of `panoptic_quality` that are not nan.

    Returns:
        Fractions ``pq``, ``sq`` and ``rq``, nan if no class occurs, and the
        number ``n`` of classes that do.
    """
    occurring = quality[:, ~np.isnan(quality[0])]
    num_classes = occurring.shape[1]
    means = occurring.sum(1) / (num_classes or np.nan)
    return dict(zip(('pq', 'sq', 'rq'), means.tolist()), n=num_classes)
