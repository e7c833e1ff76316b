"""The three tasks of OneFormer and the words that stand for them."""
from typing import Sequence, Tuple

TASKS = ('panoptic', 'instance', 'semantic')

#: Text of one mask, of which `TaskSampling` makes one per ground truth mask.
DEFAULT_TEMPLATE = 'a photo with a {cls}'


def check_task(task: str) -> str:
    """Return ``task`` if it is one of `TASKS`.

    Raises:
        ValueError: If it is not; the message lists the known ones.
    """
    if task not in TASKS:
        raise ValueError(
            f'task {task!r} is unknown: choose from {", ".join(TASKS)}')
    return task


def check_tasks(tasks: Sequence[str]) -> Tuple[str, ...]:
    """Return ``tasks``, one name or several, as a tuple of known tasks.

    Raises:
        ValueError: If a task is unknown, named twice, or none is given.
    """
    tasks = (tasks, ) if isinstance(tasks, str) else tuple(tasks)
    if not tasks or len(set(tasks)) < len(tasks):
        raise ValueError(f'tasks {tasks} must name at least one task, each '
                         f'once: choose from {", ".join(TASKS)}')
    return tuple(check_task(task) for task in tasks)


def task_text(task: str) -> str:
    """The task input that becomes the task token (paper, section 3.2)."""
    return f'the task is {check_task(task)}'


def padding_text(task: str) -> str:
    """The text that fills a list of mask texts (paper, section 3.1)."""
    article = 'an' if check_task(task)[0] in 'aeiou' else 'a'
    return f'{article} {task} photo'
