"""Reading of the three kinds of predictions from a data sample."""
from typing import Tuple

import numpy as np
from mmdet.evaluation.functional import INSTANCE_OFFSET

PREDICTION_KEYS = dict(
    panoptic='pred_panoptic_seg',
    instance='pred_instances',
    semantic='pred_sem_seg')


def get_prediction(data_sample: dict, task: str) -> dict:
    """The prediction of a sample for one task.

    Raises:
        KeyError: If the model gave none.
    """
    key = PREDICTION_KEYS[task]
    if key not in data_sample:
        raise KeyError(f'the sample has no {key!r}: evaluating the {task} '
                       f'task needs {task!r} among model.test_cfg.tasks')
    return data_sample[key]


def get_segmentation_map(data_sample: dict, task: str) -> np.ndarray:
    """The predicted panoptic or semantic map of a sample.

    Returns:
        Integers (H, W), which may share memory with the prediction.

    Raises:
        KeyError: If the model gave none.
        ValueError: If its size is not that of the image.
    """
    seg_map = get_prediction(data_sample, task)['sem_seg'].cpu().numpy()[0]
    shape = tuple(data_sample['ori_shape'][:2])
    if seg_map.shape != shape:
        raise ValueError(
            f'the {task} prediction is {seg_map.shape[1]} x '
            f'{seg_map.shape[0]} pixels, the image '
            f'{data_sample.get("img_path")} {shape[1]} x {shape[0]}')
    return seg_map


def number_segments(values: np.ndarray,
                    num_classes: int) -> Tuple[np.ndarray, np.ndarray]:
    """Number the segments of a predicted panoptic map.

    Args:
        values: Integers ``label + 1000 * instance_id``, of pixels or runs; a
            label from ``num_classes`` on is void.

    Returns:
        ``index``, integers of the shape of ``values``, where 0 is void and
        ``i + 1`` the segment of ``labels[i]``; and ``labels``, int64 (n, ).
    """
    present, index = np.unique(values, return_inverse=True)
    labels = present.astype(np.int64) % INSTANCE_OFFSET
    is_segment = labels < num_classes
    numbers = np.where(is_segment, is_segment.cumsum(), 0)
    return numbers[index].reshape(values.shape), labels[is_segment]
