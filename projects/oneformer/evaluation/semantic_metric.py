"""Mean IoU and accuracies of semantic maps, void left out."""
from typing import Dict, List, Optional, Sequence

import numpy as np
from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric

from .ground_truth import (GroundTruth, count_pairs, joint_runs,
                           read_ground_truth, read_semantic_truth)
from .predictions import get_segmentation_map
from .tables import log_classwise


@METRICS.register_module()
class SemanticMetric(BaseMetric):
    """Mean IoU, mean class accuracy and pixel accuracy.

    The conventions are those of MMSegmentation's ``IoUMetric``: mIoU is the
    mean over the classes that occur in ground truth or prediction, mAcc over
    those that occur in the ground truth, and void pixels of the ground truth
    do not count. A pixel predicted as void counts against its true class
    alone.

    Ground truth is the semantic label PNG of a sample that has one
    (``semantic_map_path``), else derived from its panoptic PNG, where crowd
    segments belong to their class, as in the semantic maps that the official
    code derives from panoptic annotations.

    (MMDetection's ``SemSegMetric`` divides pixel accuracy class by class.)

    Args:
        classwise: Whether to log IoU and accuracy of each class.
        collect_device, prefix: See ``BaseMetric``.
    """
    task = 'semantic'
    default_prefix = 'semantic'

    def __init__(self,
                 classwise: bool = False,
                 collect_device: str = 'cpu',
                 prefix: Optional[str] = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.classwise = classwise

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Append the areas of each image to ``self.results``.

        Args:
            data_batch: Not used.
            data_samples: Samples as dicts, see `read_semantic_truth` and
                `read_ground_truth`; the prediction holds labels (1, H, W),
                from the number of classes on for void.
        """
        num_classes = len(self.dataset_meta['classes'])
        for sample in data_samples:
            if 'semantic_map_path' in sample:
                truth = read_semantic_truth(sample,
                                            self.dataset_meta['class_order'])
            else:
                truth = read_ground_truth(sample)
            self.results.append(
                class_areas(truth, get_segmentation_map(sample, self.task),
                            num_classes))

    def compute_metrics(self, results: List[np.ndarray]) -> Dict[str, float]:
        """Compute the means over the classes.

        Args:
            results: Areas of each image, see `class_areas`.

        Returns:
            mIoU, mAcc and aAcc in percent; nan without any annotated pixel.
        """
        areas = sum(results).astype(np.float64)
        overlap, true_area, pred_area = areas
        union = true_area + pred_area - overlap
        iou = 100 * overlap / np.where(union > 0, union, np.nan)
        accuracy = 100 * overlap / np.where(true_area > 0, true_area, np.nan)
        if self.classwise:
            log_classwise('Semantic segmentation by class',
                          self.dataset_meta['classes'],
                          dict(IoU=iou, Acc=accuracy))
        if not true_area.any():
            return dict(mIoU=np.nan, mAcc=np.nan, aAcc=np.nan)
        return dict(
            mIoU=float(np.nanmean(iou)),
            mAcc=float(np.nanmean(accuracy)),
            aAcc=float(100 * overlap.sum() / true_area.sum()))


def class_areas(ground_truth: GroundTruth, semantic_map: np.ndarray,
                num_classes: int) -> np.ndarray:
    """Areas of each class in one image, void of the ground truth left out.

    Args:
        semantic_map: Predicted labels (H, W), from ``num_classes`` on void.

    Returns:
        int64 (3, num_classes), in pixels: intersection of ground truth and
        prediction, area in the ground truth, area in the prediction.
    """
    labels = ground_truth.labels
    index, predicted, lengths = joint_runs(ground_truth.index_map,
                                           semantic_map)
    predicted = np.minimum(predicted.astype(np.intp), num_classes)
    pairs = count_pairs(index, predicted, lengths,
                        (len(labels) + 1, num_classes + 1))
    confusion = np.zeros((num_classes, num_classes + 1), np.int64)
    np.add.at(confusion, labels, pairs[1:])
    overlap, pred_area = confusion.diagonal(), confusion.sum(0)[:num_classes]
    return np.stack([overlap, confusion.sum(1), pred_area])
