"""Ground truth of the metrics, from panoptic PNGs or label PNGs.

A panoptic PNG is read once for all metrics.
"""
from functools import lru_cache
from typing import NamedTuple, Sequence, Tuple

import numpy as np

from ..datasets.id_map import id_runs, read_id_map
from ..datasets.semantic_map import (NUM_VALUES, UNEXPECTED, VOID,
                                     read_semantic_map)


class GroundTruth(NamedTuple):
    """The annotated segments of one image.

    Attributes:
        index_map: uint8 or uint16 (H, W), read-only; 0 is void, ``i + 1``
            the segment of ``labels[i]``.
        labels: int64 (n, ), class of each segment in label order.
        is_crowd: bool (n, ).
        area: int64 (n, ), pixels of each segment as the annotation states
            them; -1 where it does not. A stated area may exceed the pixels
            of the map: in ADE20K it is that of stuff before things cover it.
    """
    index_map: np.ndarray
    labels: np.ndarray
    is_crowd: np.ndarray
    area: np.ndarray


def check_keys(data_sample: dict, keys: Sequence[str]) -> None:
    """Raise a KeyError if a sample lacks what evaluation needs."""
    for key in keys:
        if key not in data_sample:
            raise KeyError(f'the sample has no {key!r}, which evaluation '
                           'needs: name it in the meta_keys of the test '
                           "pipeline's PackDetInputs")


def read_ground_truth(data_sample: dict) -> GroundTruth:
    """Read the ground truth of a sample, once for all metrics in a row.

    Args:
        data_sample: A sample as dict, with ``seg_map_path``, ``ori_shape``
            (height and width of the image) and ``segments_info``, whose
            ``id``, ``label``, ``iscrowd`` and, where it is there, ``area``
            are used.

    Raises:
        KeyError: If the sample lacks one of these.
        FileNotFoundError: If the PNG is missing.
        ValueError: If the PNG is corrupt, has another size than the image or
            holds an id that ``segments_info`` does not list.
    """
    check_keys(data_sample, ('seg_map_path', 'ori_shape', 'segments_info'))
    segments = tuple((segment['id'], segment['label'], segment['iscrowd'],
                      segment.get('area', -1))
                     for segment in data_sample['segments_info'])
    path = data_sample['seg_map_path']
    truth = _read_segments(path, segments)
    check_size(f'panoptic PNG {path}', truth.index_map.shape, data_sample)
    return truth


def read_semantic_truth(data_sample: dict,
                        class_order: Sequence[int]) -> GroundTruth:
    """Read the classes of a sample from a label PNG.

    Args:
        data_sample: A sample as dict, with ``semantic_map_path`` and
            ``ori_shape``, and perhaps ``semantic_labels``, the label of each
            value of the PNG (see `value_table`).
        class_order: The label of each value where the sample does not say;
            values from its length on are then void.

    Raises:
        KeyError, FileNotFoundError: As `read_ground_truth`.
        ValueError: If the PNG is corrupt or none of labels, has another size
            than the image or values that no class has.
    """
    check_keys(data_sample, ('semantic_map_path', 'ori_shape'))
    path = data_sample['semantic_map_path']
    values = read_semantic_map(path)
    check_size(f'label PNG {path}', values.shape, data_sample)
    labels = np.full(NUM_VALUES, VOID)
    given = data_sample.get('semantic_labels', class_order[:NUM_VALUES])
    labels[:len(given)] = given
    _refuse_unexpected(values, labels, path)
    present = np.unique(labels[labels >= 0])
    index_of = np.searchsorted(present, labels) + 1
    index_of[labels < 0] = 0
    dtype = np.min_scalar_type(len(present))
    return GroundTruth(
        index_of.astype(dtype)[values], present, np.zeros(len(present), bool),
        np.full(len(present), -1))


def _refuse_unexpected(values: np.ndarray, labels: np.ndarray,
                       path: str) -> None:
    if UNEXPECTED in labels:
        present = np.unique(id_runs(values)[0])
        unexpected = present[labels[present] == UNEXPECTED].tolist()
        if unexpected:
            raise ValueError(f'label PNG {path} has the values {unexpected}, '
                             'which stand for no class and not for void')


def check_size(name: str, found: Tuple[int, int], data_sample: dict) -> None:
    """Raise a ValueError if an annotation is not as large as its image.

    Args:
        name: Of the annotation.
        found: Its height and width in pixels.
        data_sample: A sample as dict, with ``ori_shape``.
    """
    expected = tuple(data_sample['ori_shape'][:2])
    if tuple(found) != expected:
        raise ValueError(
            f'{name} is {found[1]} x {found[0]} pixels, its image '
            f'{expected[1]} x {expected[0]}')


# The evaluator hands a batch to one metric after the other. Kept here and not
# on the sample, which other metrics may dump or keep until the end.
@lru_cache(maxsize=16)
def _read_segments(
        path: str, segments: Tuple[Tuple[int, int, bool, int],
                                   ...]) -> GroundTruth:
    id_map = read_id_map(path)
    ids, labels, is_crowd, area = zip(*segments) if segments else ((), ) * 4
    index_map = _index_segments(id_map, ids, path)
    index_map.flags.writeable = False
    return GroundTruth(index_map, np.array(labels, np.int64),
                       np.array(is_crowd, bool), np.array(area, np.int64))


def _index_segments(id_map: np.ndarray, ids: Tuple[int, ...],
                    path: str) -> np.ndarray:
    """Replace each id by one more than its place in ``ids``; 0 stays 0."""
    if 0 in ids:
        raise ValueError(f'panoptic PNG {path}: its segments_info lists id 0, '
                         'which stands for void')
    run_ids, lengths = id_runs(id_map)
    unknown = np.setdiff1d(run_ids, (0, ) + ids)
    if len(unknown):
        raise ValueError(
            f'panoptic PNG {path} has segment ids {unknown[:5].tolist()} '
            f'({len(unknown)} in all) that its segments_info does not list')
    order = np.argsort((0, ) + ids)
    places = np.searchsorted((0, ) + ids, run_ids, sorter=order)
    dtype = np.uint8 if len(ids) < 256 else np.uint16
    return np.repeat(order[places].astype(dtype),
                     lengths).reshape(id_map.shape)


def joint_runs(first: np.ndarray,
               second: np.ndarray) -> Tuple[np.ndarray, ...]:
    """Cut two maps together into runs in which neither changes.

    Looking pixels up and counting them costs little per run, and most of the
    time of an evaluation per pixel.

    Args:
        first, second: (H, W).

    Returns:
        Value in ``first``, value in ``second`` and number of pixels of each
        run, row after row.
    """
    first, second = first.ravel(), second.ravel()
    changes = first[1:] != first[:-1]
    changes |= second[1:] != second[:-1]
    starts = np.append(0, np.flatnonzero(changes) + 1)
    return (first[starts], second[starts], np.diff(starts, append=first.size))


def count_pairs(rows: np.ndarray, columns: np.ndarray, lengths: np.ndarray,
                shape: Tuple[int, int]) -> np.ndarray:
    """Count in how many pixels each pair of values meets.

    Args:
        rows: Integers below ``shape[0]``, one for each run.
        columns: Integers below ``shape[1]``, one for each run.
        lengths: Number of pixels of each run.

    Returns:
        int64 of shape ``shape``.
    """
    pairs = rows.astype(np.intp) * shape[1] + columns
    # Weights are float64, which counts pixels exactly.
    counts = np.bincount(pairs, lengths, shape[0] * shape[1])
    return counts.astype(np.int64).reshape(shape)
