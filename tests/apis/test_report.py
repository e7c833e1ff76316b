"""Numbers and tables of results."""
import math

from projects.oneformer.apis import (percentages, result_table, summary_line,
                                     token_table, under_own_tokens)
from projects.oneformer.tasks import TASKS

METRICS = {
    'panoptic/PQ': 41.26,
    'panoptic/SQ': 80.0,
    'panoptic/RQ': 50.0,
    'panoptic/PQ_th': 30.0,
    'panoptic/SQ_th': 31.0,
    'panoptic/RQ_th': 32.0,
    'panoptic/PQ_st': 60.0,
    'panoptic/SQ_st': math.nan,
    'panoptic/RQ_st': 62.0,
    'instance/segm_mAP': 0.254,
    'instance/segm_mAP_50': 0.5,
    'instance/segm_mAP_75': 0.2,
    'instance/segm_mAP_s': 0.1,
    'instance/segm_mAP_m': 0.3,
    'instance/segm_mAP_l': -1.0,
    'semantic/mIoU': 77.77,
    'semantic/aAcc': 90.0,
    'semantic/mAcc': 85.0,
}


def test_fractions_become_percent_and_undefined_none():
    numbers = percentages(METRICS, TASKS)
    assert numbers['PQ'] == 41.26 and numbers['AP'] == 25.4
    assert numbers['AP_l'] is None and numbers['SQ_st'] is None
    assert len(numbers) == 18


def test_result_table():
    table = result_table(percentages(METRICS, TASKS), TASKS)
    rows = [line.split() for line in table.splitlines()]
    assert rows == [
        ['PQ', 'SQ', 'RQ'],
        ['all', '41.3', '80.0', '50.0'],
        ['things', '30.0', '31.0', '32.0'],
        ['stuff', '60.0', '-', '62.0'],
        ['AP', 'AP50', 'AP75', 'AP_s', 'AP_m', 'AP_l'],
        ['all', '25.4', '50.0', '20.0', '10.0', '30.0', '-'],
        ['mIoU', 'aAcc', 'mAcc'],
        ['all', '77.8', '90.0', '85.0'],
    ]
    # Numbers stand under their names.
    for line in table.splitlines():
        assert len(line) == len('things') + 8 * (
            len(line.split()) - (not line.startswith(' ')))


def test_only_asked_tasks():
    numbers = percentages(METRICS, ('semantic', ))
    assert summary_line(numbers, ('semantic', )) == 'mIoU 77.8'
    assert 'PQ' not in result_table(numbers, ('semantic', ))


def test_summary_line():
    numbers = percentages(METRICS, TASKS)
    assert summary_line(numbers, TASKS) == 'PQ 41.3 AP 25.4 mIoU 77.8'


def test_token_table():
    results = {
        token: percentages({
            **METRICS, 'panoptic/PQ': 10.0 * row
        }, TASKS)
        for row, token in enumerate(TASKS, 1)
    }
    rows = [line.split() for line in token_table(results, TASKS).splitlines()]
    assert rows[0] == ['token', 'PQ', 'PQ_th', 'PQ_st', 'AP', 'mIoU']
    assert [row[:2] for row in rows[1:]] == [['panoptic', '10.0'],
                                             ['instance', '20.0'],
                                             ['semantic', '30.0']]
    assert under_own_tokens(results, TASKS)['PQ'] == 10.0


FURTHER = {
    **{
        key.replace('instance/', 'instance_original/'): value / 2
        for key, value in METRICS.items() if key.startswith('instance/')
    }, 'cityscapes/AP': 33.3,
    'cityscapes/AP50': math.nan
}


def test_further_instance_results_are_rows_of_their_own():
    numbers = percentages({**METRICS, **FURTHER}, TASKS)
    assert len(numbers) == 18 + 6 + 2
    assert numbers['AP_i'] == 12.7 and numbers['AP_i75'] == 10
    table = result_table(numbers, TASKS)
    rows = [line.split() for line in table.splitlines()]
    assert rows[5:8] == [
        ['all', '25.4', '50.0', '20.0', '10.0', '30.0', '-'],
        ['original', '12.7', '25.0', '10.0', '5.0', '15.0', '-'],
        ['cityscapes', '33.3', '-'],
    ]
    assert summary_line(numbers, TASKS) == 'PQ 41.3 AP 25.4 mIoU 77.8'


def test_further_results_under_tokens():
    numbers = percentages({**METRICS, **FURTHER}, TASKS)
    own = under_own_tokens({task: numbers for task in TASKS}, TASKS)
    assert own == numbers
    assert 'AP_i' not in percentages({**METRICS, **FURTHER}, ('panoptic', ))
