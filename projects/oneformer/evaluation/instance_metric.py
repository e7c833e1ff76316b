"""COCO mask AP against instances of panoptic or instance annotations."""
import contextlib
import io
import weakref
from functools import lru_cache
from typing import Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
import pycocotools.mask as mask_util
from mmdet.datasets.api_wrappers import COCO, COCOeval
from mmdet.evaluation import CocoMetric
from mmdet.registry import METRICS
from mmengine.logging import print_log
from torch import Tensor

from ..datasets.id_map import id_runs
from ..encoded_masks import encode_masks
from .coco_instances import InstanceAnnotation
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
        ann_file: COCO instance JSON of the evaluated images, whose annotations
            are the ground truth, areas included; by default the things of the
            panoptic annotation are. See `InstanceAnnotation`.
        max_per_image: Only this many highest scores of an image count.
        classwise: Whether to log the AP of each class.
        collect_device, prefix: See ``BaseMetric``.
    """
    task = 'instance'
    default_prefix = 'instance'

    def __init__(self,
                 ann_file: Optional[str] = None,
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
        self.ann_file = ann_file
        self._annotation = None

    @property
    def dataset_meta(self) -> Optional[dict]:
        """Meta information of the data set; see `BaseSegmentationDataset`.

        A loop gives it to the metric when it is built. The annotation file
        is read then, so that one that does not fit is named before a run.
        """
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        self._dataset_meta = dataset_meta
        if self.ann_file is not None:
            self._annotation = InstanceAnnotation(self.ann_file, dataset_meta)

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Append ground truth and predictions of each image, masks as RLE.

        Args:
            data_batch: Not used.
            data_samples: Samples as dicts, see `read_ground_truth` and
                `InstanceAnnotation`; ``pred_instances`` has bboxes (k, 4),
                labels (k, ), scores (k, ) and masks, bool (k, H, W) or a list
                of RLEs.
        """
        for sample in data_samples:
            prediction = dict(get_prediction(sample, self.task))
            prediction['masks'] = _encoded(prediction['masks'])
            instances = self._true_instances(sample)
            super().process(
                data_batch,
                [dict(sample, pred_instances=prediction, instances=instances)])

    def _true_instances(self, sample: dict) -> List[dict]:
        """COCO annotations of a sample, with labels for categories."""
        if self._annotation is not None:
            return self._annotation.of_sample(sample)
        return thing_annotations(
            read_ground_truth(sample), len(self.dataset_meta['thing_classes']))

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
        # As in COCOeval, which ranks equal scores by the ids of their images.
        results = sorted(results, key=lambda pair: _sortable(pair[0]))
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


def _encoded(masks: Union[Tensor, np.ndarray, list]) -> List[dict]:
    """Masks as RLEs, which they may be already."""
    if isinstance(masks, list):
        return masks
    if isinstance(masks, Tensor):
        return _encode_once(weakref.ref(masks))
    return encode_masks(masks)


# The evaluator hands a batch to one metric after the other, and two may want
# the same masks. A weak reference lets them go when the batch does.
@lru_cache(maxsize=16)
def _encode_once(masks: weakref.ref) -> List[dict]:
    return encode_masks(masks())


def _sortable(truth: dict) -> Tuple[bool, object]:
    """The id of an image, where some are numbers and some texts."""
    return isinstance(truth['img_id'], str), truth['img_id']


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
            segmentation=dict(rle),
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
