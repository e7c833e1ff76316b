"""Ground truth of all three metrics, from one reading of a panoptic PNG."""
from functools import lru_cache
from typing import NamedTuple, Tuple

import numpy as np

from ..datasets.id_map import id_runs, read_id_map


class GroundTruth(NamedTuple):
    """The annotated segments of one image.

    Attributes:
        index_map: uint8 or uint16 (H, W), read-only; 0 is void, ``i + 1``
            the segment of ``labels[i]``.
        labels: int64 (n, ), class of each segment in label order.
        is_crowd: bool (n, ).
    """
    index_map: np.ndarray
    labels: np.ndarray
    is_crowd: np.ndarray


def read_ground_truth(data_sample: dict) -> GroundTruth:
    """Read the ground truth of a sample, once for all metrics in a row.

    Args:
        data_sample: A sample as dict, with ``seg_map_path``, ``ori_shape``
            (height and width of the image) and ``segments_info``, whose
            ``id``, ``label`` and ``iscrowd`` are used.

    Raises:
        KeyError: If the sample lacks one of these.
        FileNotFoundError: If the PNG is missing.
        ValueError: If the PNG is corrupt, has another size than the image or
            holds an id that ``segments_info`` does not list.
    """
    for key in ('seg_map_path', 'ori_shape', 'segments_info'):
        if key not in data_sample:
            raise KeyError(f'the sample has no {key!r}, which evaluation '
                           'needs: name it in the meta_keys of the test '
                           "pipeline's PackDetInputs")
    segments = tuple((segment['id'], segment['label'], segment['iscrowd'])
                     for segment in data_sample['segments_info'])
    height, width = data_sample['ori_shape'][:2]
    return _read_segments(data_sample['seg_map_path'], (height, width),
                          segments)


# The evaluator hands a batch to one metric after the other. Kept here and not
# on the sample, which other metrics may dump or keep until the end.
@lru_cache(maxsize=16)
def _read_segments(path: str, shape: Tuple[int, int],
                   segments: Tuple[Tuple[int, int, bool], ...]) -> GroundTruth:
    id_map = read_id_map(path)
    if id_map.shape != shape:
        raise ValueError(
            f'panoptic PNG {path} is {id_map.shape[1]} x {id_map.shape[0]} '
            f'pixels, its image {shape[1]} x {shape[0]}')
    ids, labels, is_crowd = zip(*segments) if segments else ((), (), ())
    index_map = _index_segments(id_map, ids, path)
    index_map.flags.writeable = False
    return GroundTruth(index_map, np.array(labels, np.int64),
                       np.array(is_crowd, bool))


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
