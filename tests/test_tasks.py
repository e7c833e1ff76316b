"""The names and words of the tasks."""
import pytest

from projects.oneformer.tasks import (TASKS, check_task, check_tasks,
                                      padding_text, task_text)


def test_words_of_the_official_code():
    assert [task_text(task) for task in TASKS] == [
        'the task is panoptic', 'the task is instance', 'the task is semantic'
    ]
    assert [padding_text(task) for task in TASKS
            ] == ['a panoptic photo', 'an instance photo', 'a semantic photo']


@pytest.mark.parametrize('use', [check_task, task_text, padding_text])
def test_unknown_task_is_named_with_the_known_ones(use):
    with pytest.raises(
            ValueError,
            match="'depth' is unknown: choose from panoptic, instance, "
            'semantic'):
        use('depth')


def test_check_task_returns_the_task():
    assert [check_task(task) for task in TASKS] == list(TASKS)


def test_check_tasks_takes_one_or_several_and_keeps_their_order():
    assert check_tasks('instance') == ('instance', )
    assert check_tasks(['semantic', 'panoptic']) == ('semantic', 'panoptic')


@pytest.mark.parametrize(
    'tasks', [(), ['panoptic', 'panoptic'], ['panoptic', 'depth'], ''])
def test_check_tasks_refuses(tasks):
    with pytest.raises(ValueError, match='panoptic, instance, semantic'):
        check_tasks(tasks)
