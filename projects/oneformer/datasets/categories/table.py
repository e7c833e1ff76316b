"""Classes written down as a table, one line each."""
from typing import Tuple


def read_table(text: str) -> Tuple[dict, ...]:
    """Categories from lines of id, ``thing`` or ``stuff``, R, G, B and name.

    Returns:
        tuple[dict]: In the form of a COCO panoptic JSON: ``id``, ``name``,
        ``isthing`` (1 or 0) and ``color`` (RGB).
    """
    return tuple(_read_line(line) for line in text.strip().splitlines())


def _read_line(line: str) -> dict:
    category_id, kind, red, green, blue, name = line.split(maxsplit=5)
    return dict(
        id=int(category_id),
        name=name,
        isthing=('stuff', 'thing').index(kind),
        color=[int(red), int(green), int(blue)])
