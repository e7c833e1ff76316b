"""The answers on a data sample as plain Python and arrays."""
from typing import Callable, List, Sequence, Tuple

import numpy as np
from mmdet.structures import INSTANCE_OFFSET, DetDataSample
from scipy import ndimage

from ..encoded_masks import encode_masks
from ..models.oneformer import RESULT_FIELDS

#: Pixels that are looked up at once: an index takes 8 bytes each.
PIXELS_AT_ONCE = 1 << 22


def plain_result(data_sample: DetDataSample, classes: Sequence[str],
                 num_things: int) -> dict:
    """The answers on a data sample, as far as it holds them.

    Args:
        data_sample: Of `OneFormer`, on any device.
        classes: Names of the classes, things first.
        num_things: Number of thing classes.

    Returns:
        dict: See `panoptic_result`, `instance_result`, `semantic_result`.
    """
    result = {}
    if RESULT_FIELDS['instance'] in data_sample:
        result.update(instance_result(data_sample, classes))
    if RESULT_FIELDS['panoptic'] in data_sample:
        result.update(panoptic_result(data_sample, classes, num_things))
    if RESULT_FIELDS['semantic'] in data_sample:
        result.update(semantic_result(data_sample))
    return result


def panoptic_result(data_sample: DetDataSample, classes: Sequence[str],
                    num_things: int) -> dict:
    """The panoptic answer as COCO has it.

    Returns:
        dict: ``panoptic_seg``, int32 (H, W), the id of each pixel's segment
        from 1, 0 for void; and ``segments_info``, a dict for each segment:
        ``id``, ``label``, ``category`` (its name), ``isthing``, ``score``
        (the probability of the class; None if unknown), ``area`` in pixels
        and ``bbox`` as x, y, width, height.
    """
    prediction = data_sample.get(RESULT_FIELDS['panoptic'])
    encoded = prediction.sem_seg[0].cpu().numpy()
    scores = {
        segment['id']: segment['score']
        for segment in prediction.metainfo.get('segments_info', ())
    }
    areas = _count_values(encoded)
    present = np.flatnonzero(areas)
    present = present[present % INSTANCE_OFFSET < len(classes)]
    present = sorted(present.tolist(), key=lambda i: (i % INSTANCE_OFFSET, i))
    number_of = np.zeros(len(areas), np.int32)
    number_of[present] = np.arange(1, len(present) + 1)
    id_map = by_strips(encoded, lambda part: number_of[part])
    boxes = ndimage.find_objects(id_map, max_label=len(present))
    segments = []
    for id_, (value, box) in enumerate(zip(present, boxes), 1):
        label = value % INSTANCE_OFFSET
        segments.append(
            dict(
                id=id_,
                label=label,
                category=classes[label],
                isthing=label < num_things,
                score=scores.get(value),
                area=int(areas[value]),
                bbox=_box_of(box)))
    return dict(panoptic_seg=id_map, segments_info=segments)


def instance_result(data_sample: DetDataSample,
                    classes: Sequence[str]) -> dict:
    """The instance answer as ``DetInferencer`` gives it.

    Returns:
        dict: Lists of k ``labels``, ``categories`` (their names), ``scores``,
        ``bboxes`` (x1, y1, x2, y2) and ``masks`` (RLEs of ``pycocotools``
        with texts for ``counts``).
    """
    instances = data_sample.get(RESULT_FIELDS['instance'])
    masks = instances.masks
    if not isinstance(masks, list):
        masks = encode_masks(masks)
    labels = instances.labels.tolist()
    return dict(
        labels=labels,
        categories=[classes[label] for label in labels],
        scores=instances.scores.tolist(),
        bboxes=instances.bboxes.tolist(),
        masks=[
            dict(size=list(mask['size']), counts=mask['counts'].decode())
            for mask in masks
        ])


def semantic_result(data_sample: DetDataSample) -> dict:
    """The semantic answer.

    Returns:
        dict: ``sem_seg``, int32 (H, W), the label of each pixel; and
        ``sem_seg_scores``, float32 (K, H, W), where the sample holds them.
    """
    prediction = data_sample.get(RESULT_FIELDS['semantic'])
    result = dict(sem_seg=prediction.sem_seg[0].cpu().numpy())
    if 'scores' in prediction:
        result['sem_seg_scores'] = prediction.scores.cpu().numpy()
    return result


def _box_of(place: Tuple[slice, slice]) -> List[int]:
    rows, columns = place
    return [
        columns.start, rows.start, columns.stop - columns.start,
        rows.stop - rows.start
    ]


def _strips(height: int, width: int) -> Sequence[slice]:
    """Rows of a map, as many at once as memory is meant for."""
    step = max(PIXELS_AT_ONCE // width, 1)
    return [slice(top, top + step) for top in range(0, height, step)]


def by_strips(values: np.ndarray, look_up: Callable) -> np.ndarray:
    """``look_up(values)`` of a map (H, W), int32, some rows at a time."""
    result = np.empty(values.shape, np.int32)
    for rows in _strips(*values.shape):
        result[rows] = look_up(values[rows])
    return result


def _count_values(values: np.ndarray) -> np.ndarray:
    """Pixels of each value of a map (H, W), up to the largest value."""
    counts = np.zeros(int(values.max()) + 1, np.int64)
    for rows in _strips(*values.shape):
        counts += np.bincount(values[rows].ravel(), minlength=len(counts))
    return counts
