"""The common form of all three answers: one map of segment indices."""
from dataclasses import dataclass, replace
from typing import Optional, Sequence

import cv2
import numpy as np

#: Index that stands in a segment map where there is no segment.
VOID = -1
#: Part of an instance that better ones may hide.
MOST_HIDDEN = 0.6


@dataclass(frozen=True)
class Segments:
    """Segments of one picture, none of which overlaps another.

    Attributes:
        map: (H, W) int16, the index of each pixel's segment into
            ``labels``; -1 where there is none.
        labels: (N, ) int, the class of each segment.
        scores: (N, ) float, or None where segments have no scores.
    """
    map: np.ndarray
    labels: np.ndarray
    scores: Optional[np.ndarray] = None

    def resized(self, height: int, width: int) -> 'Segments':
        """The same segments on a map of (height, width) pixels.

        Enlarged segments get smooth outlines: each pixel goes to the segment
        whose bilinearly enlarged mask is strongest there.
        """
        if self.map.shape == (height, width):
            return self
        size = (width, height)
        if height * width < self.map.size:
            nearest = cv2.resize(
                self.map, size, interpolation=cv2.INTER_NEAREST)
            return replace(self, map=nearest)
        strongest = np.zeros((height, width), np.uint8)
        enlarged = np.full((height, width), VOID, self.map.dtype)
        for index in range(VOID, len(self.labels)):
            mask = (self.map == index).astype(np.uint8) * 255
            strength = cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR)
            enlarged[strength > strongest] = index
            np.maximum(strongest, strength, out=strongest)
        return replace(self, map=enlarged)


def _check_count(num_segments: int) -> None:
    if num_segments >= 2**15:
        raise ValueError(f'{num_segments} segments are too many to draw: '
                         f'there may be {2**15 - 1}')


def _looked_up(id_map: np.ndarray, ids: Sequence[int]) -> np.ndarray:
    """Position in ``ids`` of each pixel's id, -1 for ids not among them.

    One table over all ids up to the largest is several times faster than
    sorting the pixels; ids of a panoptic PNG need at most 2**24 entries.
    """
    if id_map.ndim != 2 or not np.issubdtype(id_map.dtype, np.integer):
        raise ValueError(f'a map must be an (H, W) array of integers, got '
                         f'shape {id_map.shape} and type {id_map.dtype}')
    if not id_map.size:
        raise ValueError(f'a map of shape {id_map.shape} has no pixels')
    largest = max(int(id_map.max()), *ids, 0)
    if largest >= 2**24:
        raise ValueError(f'id {largest} is too large: ids of a panoptic map '
                         f'are below {2**24}')
    _check_count(len(ids))
    table = np.full(largest + 2, VOID, np.int16)
    table[list(ids)] = np.arange(len(ids))
    if np.issubdtype(id_map.dtype, np.signedinteger):
        # Negative ids are no segment: they meet the last entry, void.
        id_map = np.maximum(id_map, -1)
    return table[id_map]


def _present(id_map: np.ndarray, limit: int) -> np.ndarray:
    """The different ids of a map in [0, limit), ascending."""
    found = np.zeros(limit, bool)
    found[id_map[(id_map >= 0) & (id_map < limit)]] = True
    return np.flatnonzero(found)


def panoptic_segments(id_map: np.ndarray,
                      segments: Sequence[dict]) -> Segments:
    """Segments of a panoptic answer or annotation.

    Args:
        id_map: (H, W) integers, the id of each pixel's segment.
        segments: One dict per segment with its ``id`` (non-negative) and its
            class ``label``; ids of the map not listed are void.
    """
    ids = [int(segment['id']) for segment in segments]
    if len(set(ids)) < len(ids) or min(ids, default=0) < 0:
        raise ValueError(f'segment ids {ids} must be different and not '
                         'negative')
    labels = np.array([segment['label'] for segment in segments], int)
    return Segments(_looked_up(id_map, ids), labels)


def encoded_segments(panoptic_map: np.ndarray, num_classes: int,
                     instance_offset: int) -> Segments:
    """Segments of MMDetection's panoptic map.

    Args:
        panoptic_map: (H, W) integers, ``label + instance * instance_offset``;
            ``num_classes`` is void.
        num_classes: Number of classes.
        instance_offset: Distance between the instances of a class.
    """
    ids = _present(panoptic_map, max(int(panoptic_map.max(initial=0)), 0) + 1)
    ids = ids[ids % instance_offset < num_classes]
    return panoptic_segments(
        panoptic_map,
        [dict(id=id_, label=id_ % instance_offset) for id_ in ids])


def semantic_segments(label_map: np.ndarray, num_classes: int) -> Segments:
    """Segments of a semantic answer: one for each class that is there.

    Args:
        label_map: (H, W) integers; those outside [0, num_classes) are void.
        num_classes: Number of classes.
    """
    labels = _present(label_map, num_classes)
    return Segments(_looked_up(label_map, labels), labels)


def instance_segments(masks: Sequence[np.ndarray],
                      labels: Sequence[int],
                      scores: Optional[Sequence[float]] = None,
                      shape: Optional[Sequence[int]] = None) -> Segments:
    """Segments of an instance answer, the best score on top.

    An instance that better ones hide for the most part is left out, since it
    is most likely one of them once more; but if it is small against the one
    that hides it, and of another class, it lies on top, as a tie on a person.

    Args:
        masks: N masks of (H, W), bool or 0/1; they may overlap.
        labels: N classes.
        scores: N scores; without them, later masks lie on top.
        shape: (H, W), needed where there is no mask to tell it.
    """
    labels = np.asarray(labels, int).reshape(-1)
    if scores is not None:
        scores = np.asarray(scores, float).reshape(-1)
    if len(masks) != len(labels) or \
            (scores is not None and len(scores) != len(labels)):
        raise ValueError(
            f'{len(masks)} masks, {len(labels)} labels and '
            f'{"no" if scores is None else len(scores)} scores: there must '
            'be one of each per instance')
    _check_count(len(masks))
    height, width = masks[0].shape if len(masks) else shape
    segment_map = np.full((height, width), VOID, np.int16)
    if scores is None:
        for index in range(len(masks)):
            np.copyto(segment_map, index, where=_bool(masks[index]))
    else:
        _stack(segment_map, masks, labels, scores)
    return Segments(segment_map, labels, scores)


def _bool(mask: np.ndarray) -> np.ndarray:
    return mask.astype(bool, copy=False)


def _stack(segment_map: np.ndarray, masks: Sequence[np.ndarray],
           labels: np.ndarray, scores: np.ndarray) -> None:
    """Put instances into an empty map, see `instance_segments`."""
    areas = np.zeros(len(masks), int)
    for index in np.argsort(-scores, kind='stable'):
        mask = _bool(masks[index])
        below = segment_map[mask]
        areas[index] = len(below)
        hidden = below[below != VOID]
        if len(hidden) <= MOST_HIDDEN * len(below):
            np.copyto(segment_map, index, where=mask & (segment_map == VOID))
            continue
        hider = np.bincount(hidden).argmax()
        if labels[hider] != labels[index] and 2 * len(below) <= areas[hider]:
            np.copyto(segment_map, index, where=mask)
