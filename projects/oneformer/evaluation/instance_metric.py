"""COCO mask AP against the instances of a panoptic annotation."""
import contextlib
import io
from typing import Dict, List, Optional, Sequence, Tuple, Union

import cv2
import numpy as np
import pycocotools.mask as mask_util
import torch
from mmdet.datasets.api_wrappers import COCO, COCOeval
from mmdet.evaluation import CocoMetric
from mmdet.registry import METRICS
from mmengine.logging import print_log

from ..datasets.id_map import id_runs
from .ground_truth import GroundTruth, read_ground_truth
from .predictions import get_prediction
from .tables import log_classwise

#: Metric -> its IoU thresholds and its range of areas in COCOeval's order.
_METRICS = dict(
    segm_mAP=(slice(None), 0),
    segm_mAP_50=(0, 0),
    segm_mAP_75=(5, 0),
    segm_mAP_s=(slice(None), 1),
    segm_mAP_m=(slice(None), 2),
    segm_mAP_l=(slice(None), 3))


@METRICS.register_module()
class InstanceMetric(CocoMetric):
    """Mask AP of the thing classes, named and scaled as ``CocoMetric`` does.

    Equal to ``pycocotools`` on the same segments. The parent class takes the
    area of boxes for that of masks when it has no annotation file, evaluates
    AP at 100 and AP50 at 1000 predictions an image, rounds to three digits,
    reports nothing when there is no prediction and keeps the ground truth of
    the first evaluation for all later ones.

    Args:
        max_per_image: Only this many highest scores of an image count.
        classwise: Whether to log the AP of each class.
        collect_device, prefix: See ``BaseMetric``.
    """
    task = 'instance'
    default_prefix = 'instance'

    def __init__(self,
                 max_per_image: int = 100,
                 classwise: bool = False,
                 collect_device: str = 'cpu',
                 prefix: Optional[str] = None) -> None:
        super().__init__(
            metric='segm',
            classwise=classwise,
            proposal_nums=(max_per_image, ),
            collect_device=collect_device,
            prefix=prefix)

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Append ground truth and predictions of each image, masks as RLE.

        Args:
            data_batch: Not used.
            data_samples: Samples as dicts, see `read_ground_truth`;
                ``pred_instances`` has bboxes (k, 4), labels (k, ), scores
                (k, ) and masks, bool (k, H, W) or a list of RLEs.
        """
        num_things = len(self.dataset_meta['thing_classes'])
        for sample in data_samples:
            prediction = dict(get_prediction(sample, self.task))
            if not isinstance(prediction['masks'], list):
                prediction['masks'] = encode_masks(prediction['masks'])
            instances = thing_annotations(
                read_ground_truth(sample), num_things)
            super().process(
                data_batch,
                [dict(sample, pred_instances=prediction, instances=instances)])

    def compute_metrics(self, results: List[Tuple[dict,
                                                  dict]]) -> Dict[str, float]:
        """Run COCOeval on the collected images.

        Args:
            results: Ground truth and prediction of each image.

        Returns:
            segm_mAP and with it _50, _75, _s, _m and _l, as fractions; -1
            where there is no ground truth.
        """
        classes = self.dataset_meta['thing_classes']
        precision = self._precision(results, len(classes))
        if self.classwise:
            log_classwise(
                'Instance segmentation by class', classes, {
                    name: [
                        100 * average_precision(precision[thresholds, :, label,
                                                          area])
                        for label in range(len(classes))
                    ]
                    for name, (thresholds, area) in _METRICS.items()
                })
        return {
            name: average_precision(precision[thresholds, ..., area])
            for name, (thresholds, area) in _METRICS.items()
        }

    def _precision(self, results: List[Tuple[dict, dict]],
                   num_things: int) -> np.ndarray:
        """COCOeval's precision (IoU threshold, recall, class, area range)."""
        images, annotations, predictions = [], [], []
        for image_id, (truth, prediction) in enumerate(results):
            images.append(
                dict(
                    id=image_id, height=truth['height'], width=truth['width']))
            annotations += [
                dict(instance, image_id=image_id) for instance in truth['anns']
            ]
            predictions += prediction_annotations(prediction, image_id)
        if not predictions:
            print_log('no instance was predicted in any image', 'current')

        # pycocotools reports its progress on the standard output.
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation = COCOeval(
                make_coco(annotations, images, num_things),
                make_coco(predictions, images, num_things), 'segm')
            evaluation.params.maxDets = self.proposal_nums
            evaluation.evaluate()
            evaluation.accumulate()
        return evaluation.eval['precision'][..., 0]


def encode_masks(masks: Union[torch.Tensor, np.ndarray]) -> List[dict]:
    """Encode binary masks (k, H, W) as k RLEs of ``pycocotools``."""
    masks = torch.as_tensor(masks).bool().cpu().numpy().view(np.uint8)
    number, height, width = masks.shape
    if number == 0:
        return []
    # (H, W, k) in column order is (k, W, H) in rows; OpenCV transposes by
    # blocks, several times as fast as NumPy and PyTorch.
    columns = np.empty((number, width, height), np.uint8)
    for mask, transposed in zip(masks, columns):
        cv2.transpose(mask, transposed)
    return mask_util.encode(columns.T)


def thing_annotations(ground_truth: GroundTruth,
                      num_things: int) -> List[dict]:
    """COCO annotations of the things of one image, crowd included.

    Returns:
        One dict with ``category_id`` (the label), ``segmentation`` (an RLE),
        ``area`` in pixels, ``bbox`` (x, y, width, height) and ``iscrowd`` per
        thing that has a pixel.
    """
    shape = ground_truth.index_map.shape
    index, lengths = id_runs(ground_truth.index_map.T)
    ends = lengths.cumsum()
    annotations = []
    for thing in np.flatnonzero(ground_truth.labels < num_things):
        runs = index == thing + 1
        if not runs.any():
            continue
        rle = _encode_runs(ends[runs] - lengths[runs], ends[runs], shape)
        annotations.append(
            dict(
                category_id=int(ground_truth.labels[thing]),
                segmentation=rle,
                area=float(mask_util.area(rle)),
                bbox=mask_util.toBbox(rle).tolist(),
                iscrowd=int(ground_truth.is_crowd[thing])))
    return annotations


def _encode_runs(starts: np.ndarray, ends: np.ndarray,
                 shape: Tuple[int, int]) -> dict:
    """RLE of the pixels from each start to before its end, column by column.
    """
    borders = np.stack([starts, ends], 1).ravel()
    counts = np.diff(borders, prepend=0, append=shape[0] * shape[1])
    uncompressed = dict(size=list(shape), counts=counts.tolist())
    return mask_util.frPyObjects(uncompressed, *shape)


def prediction_annotations(prediction: dict, image_id: int) -> List[dict]:
    """The predictions of one image in COCO's form."""
    return [
        dict(
            image_id=image_id,
            category_id=int(label),
            segmentation=rle,
            score=float(score),
            area=float(mask_util.area(rle)),
            bbox=mask_util.toBbox(rle).tolist(),
            iscrowd=0) for label, score, rle in
        zip(prediction['labels'], prediction['scores'], prediction['masks'])
    ]


def make_coco(annotations: List[dict], images: List[dict],
              num_classes: int) -> COCO:
    """Index annotations, which get ids from 1 (COCOeval takes 0 for none)."""
    coco = COCO()
    coco.dataset = dict(
        images=images,
        categories=[dict(id=label) for label in range(num_classes)],
        annotations=[
            dict(annotation, id=number)
            for number, annotation in enumerate(annotations, 1)
        ])
    coco.createIndex()
    return coco


def average_precision(precision: np.ndarray) -> float:
    """Mean of the entries that COCOeval defines, -1 if it defines none."""
    defined = precision[precision > -1]
    return float(defined.mean()) if defined.size else -1.0
