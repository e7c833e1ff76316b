"""Mask AP as cityscapesscripts computes it, without its files of masks."""
import os.path as osp
from copy import copy
from typing import Dict, List, Optional, Sequence

import numpy as np
import pycocotools.mask as mask_util
from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric
from PIL import Image

from .ground_truth import check_keys, check_size
from .predictions import get_prediction
from .tables import log_classwise


@METRICS.register_module()
class CityscapesInstanceMetric(BaseMetric):
    """AP and AP50 of Cityscapes' own evaluation, which the paper reports.

    It differs from COCO's in what it ignores and in the interpolation of
    precision. Matching runs in memory, on the ``gtFine_instanceIds`` files
    beside the images (``leftImg8bit`` and ``gtFine`` in one folder); precision
    and recall are those of ``cityscapesscripts``, an optional package.

    Args:
        classwise: Whether to log the AP of each class.
        collect_device, prefix: See ``BaseMetric``.
    """
    task = 'instance'
    default_prefix = 'cityscapes'

    def __init__(self,
                 classwise: bool = False,
                 collect_device: str = 'cpu',
                 prefix: Optional[str] = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.classwise = classwise

    @property
    def dataset_meta(self) -> Optional[dict]:
        """Meta information of the data set, which a loop gives when built.

        Package and classes are checked then, before a run.
        """
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        self._dataset_meta = dataset_meta
        known = {label.name for label in _scripts().labels}
        unknown = set(dataset_meta['thing_classes']) - known
        if unknown:
            raise ValueError('CityscapesInstanceMetric is for the classes of '
                             f'Cityscapes, which {min(unknown)!r} is not')

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Append the overlaps of each image to ``self.results``.

        Args:
            data_batch: Not used.
            data_samples: Samples as dicts, with ``img_path`` and
                ``ori_shape``; for ``pred_instances`` see `InstanceMetric`.
        """
        for sample in data_samples:
            check_keys(sample, ('img_path', 'ori_shape'))
            self.results.append(
                match_instances(
                    _read_instance_ids(sample),
                    get_prediction(sample, self.task),
                    self.dataset_meta['thing_classes']))

    def compute_metrics(self, results: List[dict]) -> Dict[str, float]:
        """Average precision over thresholds and classes.

        Args:
            results: See `match_instances`.

        Returns:
            AP and AP50 in percent; nan if there is no instance.
        """
        scripts = _scripts()
        settings = copy(scripts.args)
        settings.instLabels = _instance_labels()
        precision = scripts.evaluateMatches(dict(enumerate(results)), settings)
        averages = scripts.computeAverages(precision, settings)
        if self.classwise:
            classes = averages['classes']
            log_classwise(
                'Instance segmentation by class (cityscapesscripts)', classes,
                dict(
                    AP=[100 * c['ap'] for c in classes.values()],
                    AP50=[100 * c['ap50%'] for c in classes.values()]))
        return dict(
            AP=float(100 * averages['allAp']),
            AP50=float(100 * averages['allAp50%']))


def _scripts():
    """The module of cityscapesscripts that evaluates instances."""
    try:
        from cityscapesscripts.evaluation import \
            evalInstanceLevelSemanticLabeling as scripts
    except ImportError as error:
        # Its dependencies include a `typing` for Python 2.
        raise ImportError(
            'CityscapesInstanceMetric needs cityscapesscripts (pip install '
            '--no-deps cityscapesscripts pyquaternion); without it, leave the '
            f'metric out of the evaluators: {error}') from None
    return scripts


def _instance_labels() -> List[str]:
    """The names of the classes that have instances and are evaluated."""
    return [
        label.name for label in _scripts().labels
        if label.hasInstances and not label.ignoreInEval
    ]


def _read_instance_ids(sample: dict) -> np.ndarray:
    """Annotation (H, W): ``1000 * label id + instance`` or a label id."""
    root, _, name = sample['img_path'].rpartition('leftImg8bit/')
    name = name.replace('leftImg8bit.png', 'gtFine_instanceIds.png')
    path = osp.join(root, 'gtFine', name)
    if not osp.isfile(path):
        raise FileNotFoundError(
            f'{path}, the instance ids of {sample["img_path"]}, does not exist'
        )
    instance_ids = np.asarray(Image.open(path))
    check_size(path, instance_ids.shape, sample)
    return instance_ids


def match_instances(instance_ids: np.ndarray, prediction: dict,
                    classes: Sequence[str]) -> Dict[str, Dict[str, list]]:
    """How the predictions of an image overlap its annotation.

    As ``assignGt2Preds`` of cityscapesscripts.

    Args:
        instance_ids: See `_read_instance_ids`.
        prediction: Labels, scores and masks, see `InstanceMetric`.
        classes: Names of the labels.

    Returns:
        ``groundTruth`` and ``prediction``, each from class name to instances,
        in the form that ``evaluateMatches`` takes.
    """
    void = [label.id for label in _scripts().labels if label.ignoreInEval]
    ids, index, areas = np.unique(
        instance_ids, return_inverse=True, return_counts=True)
    index, is_void = index.reshape(instance_ids.shape), np.isin(ids, void)
    truth = _annotated(ids, areas)
    found = {name: [] for name in truth}
    for label, score, mask in zip(prediction['labels'], prediction['scores'],
                                  prediction['masks']):
        overlaps = np.bincount(index[_as_array(mask)], minlength=len(ids))
        if overlaps.any():
            name = classes[int(label)]
            instance = dict(
                pixelCount=int(overlaps.sum()),
                confidence=float(score),
                voidIntersection=int(overlaps[is_void].sum()),
                matchedGt=[])
            _link(instance, truth[name], overlaps)
            found[name].append(instance)
    return dict(groundTruth=truth, prediction=found)


def _annotated(ids: np.ndarray, areas: np.ndarray) -> Dict[str, List[dict]]:
    """The annotated instances of each class, groups included.

    ``place`` is where an instance stands in ``ids``.
    """
    names = {label.id: label.name for label in _scripts().labels}
    truth = {name: [] for name in _instance_labels()}
    for place, (number, area) in enumerate(zip(ids.tolist(), areas.tolist())):
        name = names[number if number < 1000 else number // 1000]
        if name in truth:
            truth[name].append(
                dict(
                    instID=number,
                    pixelCount=area,
                    medDist=-1,
                    distConf=0.0,
                    matchedPred=[],
                    place=place))
    return truth


def _link(instance: dict, truth: List[dict], overlaps: np.ndarray) -> None:
    """Note in a prediction and the annotations of its class how they meet."""
    for other in truth:
        overlap = int(overlaps[other['place']])
        if overlap:
            instance['matchedGt'].append(dict(other, intersection=overlap))
            other['matchedPred'].append(
                dict(
                    pixelCount=instance['pixelCount'],
                    confidence=instance['confidence'],
                    intersection=overlap))


def _as_array(mask) -> np.ndarray:
    """A mask, an array or an RLE, as bool (H, W)."""
    if isinstance(mask, dict):
        return mask_util.decode(dict(mask)).astype(bool)
    return np.asarray(mask, bool)
