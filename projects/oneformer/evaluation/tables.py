"""Tables of results in the log."""
from typing import Dict, Sequence

from mmengine.logging import print_log
from terminaltables import AsciiTable


def log_classwise(title: str, classes: Sequence[str],
                  columns: Dict[str, Sequence[float]]) -> None:
    """Log one row per class.

    Args:
        columns: Heading -> percentage of each class; nan or a negative number
            where there was nothing to measure.
    """
    rows = [['class', *columns]]
    for name, *values in zip(classes, *columns.values()):
        rows.append(
            [name] +
            [f'{value:.2f}' if value >= 0 else '-' for value in values])
    print_log(f'{title}:\n{AsciiTable(rows).table}', logger='current')
