"""What each task makes of one augmentation of an image."""
import copy
from typing import Dict, List, Optional, Sequence, Tuple

import cv2
from mmcv.transforms import Resize
from mmdet.datasets.transforms import PackDetInputs
from mmengine.runner import set_random_seed

from ..tasks import TASKS
from .base_dataset import BaseSegmentationDataset
from .transforms import (LoadInstanceMap, LoadPanopticMap, LoadSemanticMap,
                         TaskSampling)

#: What loads the annotation of a data set, by the tasks it can answer.
LOADERS = {
    TASKS: LoadPanopticMap,
    ('instance', ): LoadInstanceMap,
    ('semantic', ): LoadSemanticMap
}


def data_sets(dataset) -> List[BaseSegmentationDataset]:
    """The data sets that a built one is, or wraps.

    Raises:
        ValueError: If one of them is of another project.
    """
    if hasattr(dataset, 'datasets'):
        return [one for part in dataset.datasets for one in data_sets(part)]
    if hasattr(dataset, 'dataset'):
        return data_sets(dataset.dataset)
    if not isinstance(dataset, BaseSegmentationDataset):
        known = 'PanopticDataset, InstanceDataset and SemanticDataset'
        raise ValueError(f'a {type(dataset).__name__} does not say what its '
                         f'annotation is: {known} do')
    dataset.full_init()
    return [dataset]


def task_chances(dataset: BaseSegmentationDataset) -> Dict[str, float]:
    """The tasks that are drawn for a data set, and their probabilities."""
    chances = _split(dataset)[1].answerable(dataset.tasks)
    total = sum(chances.values())
    return {task: chance / total for task, chance in chances.items()}


def task_views(dataset: BaseSegmentationDataset, index: int,
               tasks: Sequence[str], seed: int) -> Dict[str, dict]:
    """What tasks make of one augmentation of an image.

    That of a pipeline that loads no annotation, as for validation, is loaded
    all the same.

    Args:
        dataset (BaseSegmentationDataset): Has the image.
        index (int): Of the image.
        tasks (list[str]): That its annotation can answer.
        seed (int): Of the augmentation.

    Returns:
        dict[str, dict]: By task, what its transforms leave for packing:
        ``img``, ``gt_masks``, ``gt_bboxes_labels``, ``task``, ``texts`` and
        more. Tasks for which one drops the image are left out.

    Raises:
        OSError: If a file is missing.
        ValueError: If one cannot be read or transformed.
    """
    before, sampling, after = _split(dataset)
    info = dataset.get_data_info(index)
    path = info['img_path']
    set_random_seed(seed)
    try:
        augmented = _run(before, info)
        views = {}
        for task in tasks:
            # the same again for random steps behind the task
            set_random_seed(seed)
            only = TaskSampling({task: 1}, sampling.text_template)
            view = _run([only, *after], copy.deepcopy(augmented))
            if view is not None:
                views[task] = view
        return views
    except (AssertionError, cv2.error) as error:  # perhaps in several lines
        raise ValueError(f'{path} cannot be read or transformed: '
                         f'{" ".join(str(error).split())}') from error


def _split(
        dataset: BaseSegmentationDataset) -> Tuple[list, TaskSampling, list]:
    """The steps before and after the drawing of a task, but for packing."""
    steps = [
        step for step in dataset.pipeline.transforms
        if not isinstance(step, PackDetInputs)
    ]
    for place, step in enumerate(steps):
        if isinstance(step, TaskSampling):
            return steps[:place], step, steps[place + 1:]
    loader = LOADERS[dataset.tasks](dataset.backend_args)
    steps = [steps[0], loader, *map(_able_to_resize_maps, steps[1:])]
    return steps, TaskSampling(), []


def _able_to_resize_maps(step):
    """The same step by OpenCV, for Pillow knows no maps of ids."""
    if isinstance(step, Resize) and step.backend == 'pillow':
        step = copy.copy(step)
        step.backend = 'cv2'
    return step


def _run(steps: Sequence, results: Optional[dict]) -> Optional[dict]:
    """Run transforms, any of which may drop the image."""
    for step in steps:
        results = results and step(results)
    return results
