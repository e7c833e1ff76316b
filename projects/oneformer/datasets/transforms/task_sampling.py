"""Drawing a task, and what that task makes of a panoptic annotation."""
from string import Formatter
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS
from mmdet.structures.mask import BitmapMasks

from ...tasks import DEFAULT_TEMPLATE, TASKS, check_task
from ..id_map import id_runs


@TRANSFORMS.register_module()
class TaskSampling(BaseTransform):
    """Draw a task per image and derive its labels, masks and texts.

    Follows the paper (section 3.1) and the official mapping. Labels and masks
    stand in the order of the annotation's segments, a merged one at the
    place of its first; texts stand in the annotation's class order. So text
    i does not describe mask i: texts meet queries, not masks. Crowd
    segments, and segments that the crop left nothing of, make no mask.

    ========  =======================  ==================
    task      things                   stuff
    ========  =======================  ==================
    panoptic  one mask per segment     one mask per class
    instance  one mask per segment     none
    semantic  one mask per class       one mask per class
    ========  =======================  ==================

    Only tasks in ``tasks`` are drawn, those that the annotation can answer,
    by their probabilities among one another. The draw uses numpy's global
    random state, which MMEngine seeds in each worker.

    Required keys: gt_seg_map (removed: it would be packed as a semantic
    map), segments_info, classes, num_things, class_order; tasks, if not all.

    Added keys, for M masks:

    - task (str): The task drawn.
    - texts (list[str]): M texts, without padding.
    - gt_bboxes_labels (ndarray): int64 (M, ).
    - gt_masks (BitmapMasks): uint8 (M, H, W).

    Args:
        probabilities (dict, optional): Probability of each task; a task left
            out is never drawn. Defaults to a third for each.
        text_template (str): Text of a mask, where ``{cls}`` stands for the
            class name and ``{type}`` for 'thing' or 'stuff'; in the semantic
            task every mask is stuff.

    Raises:
        ValueError: If a task is unknown, a probability negative, their sum
            not 1, or a placeholder unknown.
    """

    def __init__(self,
                 probabilities: Optional[Mapping[str, float]] = None,
                 text_template: str = DEFAULT_TEMPLATE) -> None:
        if probabilities is None:
            probabilities = {task: 1 / len(TASKS) for task in TASKS}
        self.probabilities = _check_probabilities(probabilities)
        self.text_template = _check_template(text_template)

    def transform(self, results: dict) -> dict:
        """Replace the id map by the drawn task's labels, masks and texts."""
        id_map = results.pop('gt_seg_map')
        task = self._draw_task(results.get('tasks', TASKS))
        run_ids, run_lengths = id_runs(id_map)
        ids, run_to_id = np.unique(run_ids, return_inverse=True)

        labels, slots = self._assign_slots(task, ids.tolist(), results)
        # Pixels of no mask get the slot after the last.
        table = np.array([slots.get(i, len(labels)) for i in ids.tolist()],
                         np.min_scalar_type(len(labels)))
        slot_map = np.repeat(table[run_to_id], run_lengths)
        every_slot = np.arange(len(labels), dtype=table.dtype)
        masks = (slot_map == every_slot[:, None]).view(np.uint8)

        results['task'] = task
        results['texts'] = self._texts(task, labels, results)
        results['gt_bboxes_labels'] = np.array(labels, np.int64)
        results['gt_masks'] = BitmapMasks(
            masks.reshape(len(labels), *id_map.shape), *id_map.shape)
        return results

    def answerable(self, tasks: Sequence[str]) -> Dict[str, float]:
        """Probabilities above zero of those tasks that are in ``tasks``."""
        return {
            task: probability
            for task, probability in self.probabilities.items()
            if probability > 0 and task in tasks
        }

    def _draw_task(self, tasks: Sequence[str]) -> str:
        candidates = self.answerable(tasks)
        weights = np.array(list(candidates.values()))
        # numpy is stricter than we are about the sum.
        index = np.random.choice(len(weights), p=weights / weights.sum())
        return tuple(candidates)[index]

    @staticmethod
    def _assign_slots(task: str, present: List[int],
                      results: dict) -> Tuple[List[int], Dict[int, int]]:
        """Number the masks of a task.

        Returns:
            tuple[list[int], dict[int, int]]: The label of each mask, and the
            mask that each segment id belongs to.
        """
        present = set(present)
        labels, slots, slot_of_class = [], {}, {}
        for segment in results['segments_info']:
            label = segment['label']
            is_thing = label < results['num_things']
            if (segment['iscrowd'] or segment['id'] not in present
                    or (task == 'instance' and not is_thing)):
                continue
            slot = len(labels)
            if task == 'semantic' or not is_thing:
                slot = slot_of_class.setdefault(label, slot)
            if slot == len(labels):
                labels.append(label)
            slots[segment['id']] = slot
        return labels, slots

    def _texts(self, task: str, labels: List[int], results: dict) -> List[str]:
        """One text per mask, in the class order of the annotation."""
        texts = []
        for label in sorted(labels, key=results['class_order'].index):
            is_thing = task != 'semantic' and label < results['num_things']
            texts.append(
                self.text_template.format(
                    cls=results['classes'][label],
                    type='thing' if is_thing else 'stuff'))
        return texts

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(probabilities={self.probabilities}, '
                f'text_template={self.text_template!r})')


def _check_probabilities(
        probabilities: Mapping[str, float]) -> Dict[str, float]:
    probabilities = {
        check_task(task): value
        for task, value in probabilities.items()
    }
    for task, value in probabilities.items():
        if not value >= 0:  # holds for nan too
            raise ValueError(f'the probability of task {task!r} is {value}: '
                             'it must not be negative')
    total = sum(probabilities.values())
    if not abs(total - 1) <= 1e-6:
        raise ValueError(
            f'task probabilities {probabilities} sum to {total}, not to 1')
    return probabilities


def _check_template(template: str) -> str:
    try:
        fields = {field for _, field, _, _ in Formatter().parse(template)}
    except ValueError as error:
        raise ValueError(f'text_template {template!r}: {error}') from error
    unknown = sorted(fields - {None, 'cls', 'type'})
    if unknown:
        raise ValueError(
            f'text_template {template!r} has the unknown placeholder '
            f'{{{unknown[0]}}}: choose from {{cls}} and {{type}}')
    return template
