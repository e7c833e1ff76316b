"""Metrics of the three tasks as numbers, tables and one line."""
import math
from typing import Dict, Sequence

_AP_PARTS = (('', ''), ('50', '_50'), ('75', '_75'), ('_s', '_s'),
             ('_m', '_m'), ('_l', '_l'))

#: Per task: name of a number, key that the evaluators give it, and what makes
#: it a percentage. The first is the task's headline.
NUMBERS = dict(
    panoptic=[(name + part, f'panoptic/{name}{part}', 1)
              for part in ('', '_th', '_st') for name in ('PQ', 'SQ', 'RQ')],
    instance=[(f'AP{part}', f'instance/segm_mAP{suffix}', 100)
              for part, suffix in _AP_PARTS],
    semantic=[(name, f'semantic/{name}', 1)
              for name in ('mIoU', 'aAcc', 'mAcc')])

#: Instance results that some data sets have besides, each a row of its own:
#: against COCO's original annotation (`InstanceMetric` with the prefix
#: 'instance_original'), and by cityscapesscripts.
FURTHER_ROWS = dict(
    original=[(f'AP_i{part}', f'instance_original/segm_mAP{suffix}', 100)
              for part, suffix in _AP_PARTS],
    cityscapes=[('AP_cs', 'cityscapes/AP', 1),
                ('AP_cs50', 'cityscapes/AP50', 1)])

#: The columns of the paper's Table 8.
TOKEN_COLUMNS = dict(
    panoptic=('PQ', 'PQ_th', 'PQ_st'), instance=('AP', ), semantic=('mIoU', ))


def percentages(metrics: Dict[str, float], tasks: Sequence[str]) -> dict:
    """The numbers of ``tasks`` among what the evaluators return.

    Returns:
        dict: Name (PQ, AP50, mIoU, ...) to percentage; None where the number
        is undefined, as AP of a size that no instance has.
    """
    wanted = [number for task in tasks for number in NUMBERS[task]]
    wanted += [
        number for task in tasks for number in _further(task)
        if number[1] in metrics
    ]
    return {
        name: _percentage(metrics[key], scale)
        for name, key, scale in wanted
    }


def _further(task: str) -> list:
    """The numbers of a task that not every evaluation gives."""
    if task != 'instance':
        return []
    return [number for row in FURTHER_ROWS.values() for number in row]


def _percentage(value: float, scale: float):
    """COCO's -1 and NaN both say that there was nothing to measure."""
    return None if math.isnan(value) or value < 0 else scale * float(value)


def result_table(numbers: dict, tasks: Sequence[str]) -> str:
    """The numbers of `percentages` as aligned text, task by task."""
    rows = []
    for task in tasks:
        names = [name for name, _, _ in NUMBERS[task]]
        if task == 'panoptic':
            rows.append(['', *names[:3]])
            for label, start in (('all', 0), ('things', 3), ('stuff', 6)):
                part = names[start:start + 3]
                rows.append([label] + [numbers[name] for name in part])
        else:
            rows.append(['', *names])
            rows.append(['all'] + [numbers[name] for name in names])
        if task == 'instance':
            rows += [[label] + [numbers[name] for name, _, _ in row]
                     for label, row in FURTHER_ROWS.items()
                     if row[0][0] in numbers]
    return _align(rows)


def token_table(numbers: Dict[str, dict], tasks: Sequence[str]) -> str:
    """One row per task token, the columns of the paper's Table 8.

    Args:
        numbers: Task token to `percentages` under it.
        tasks: The tasks whose columns are shown.
    """
    columns = [name for task in tasks for name in TOKEN_COLUMNS[task]]
    rows = [['token', *columns]]
    for token, of_token in numbers.items():
        rows.append([token] + [of_token[name] for name in columns])
    return _align(rows)


def under_own_tokens(numbers: Dict[str, dict], tasks: Sequence[str]) -> dict:
    """The numbers of each task under its own token, as one pass gives them."""
    return {
        name: numbers[task][name]
        for task in tasks
        for name, _, _ in NUMBERS[task] + _further(task)
        if name in numbers[task]
    }


def summary_line(numbers: dict, tasks: Sequence[str]) -> str:
    """``PQ 12.3 AP 4.5 mIoU 67.8``, as far as ``tasks`` goes."""
    names = [NUMBERS[task][0][0] for task in tasks]
    return ' '.join(f'{name} {_text(numbers[name])}' for name in names)


def _align(rows: Sequence[list]) -> str:
    width = max(len(row[0]) for row in rows)
    return '\n'.join(f'{row[0]:<{width}}' + ''.join(f'{_text(cell):>8}'
                                                    for cell in row[1:])
                     for row in rows)


def _text(cell) -> str:
    if isinstance(cell, str):
        return cell
    return '-' if cell is None else f'{cell:.1f}'
