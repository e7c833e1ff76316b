"""What annotations must have, said of the first entry that lacks it."""
from typing import Sequence

#: What an entry of an annotation must have, and what that is.
_FIELDS = {
    'category':
    dict(id='an integer', name='a text', isthing='1 (thing) or 0 (stuff)'),
    'image':
    dict(
        id='an integer or a text',
        file_name='a path below the image folder',
        height='in pixels',
        width='in pixels'),
    'panoptic annotation':
    dict(
        image_id='the id of an image',
        file_name='a path below the folder of panoptic PNGs',
        segments_info='a list of segments'),
    'segment':
    dict(id='R + 256 G + 65536 B', category_id='the id of a category'),
    'instance annotation':
    dict(image_id='the id of an image', category_id='the id of a category'),
}


def check_fields(entry: dict, kind: str, where: str) -> None:
    """Refuse an entry that lacks what its kind must have."""
    for field, meaning in _FIELDS[kind].items():
        if field not in entry:
            name = entry.get('name', entry.get('file_name', entry.get('id')))
            raise ValueError(f'{where}: {kind} {name!r} lacks {field!r}, '
                             f'{meaning}')


def check_unique(values: Sequence, kind: str, where: str) -> None:
    """Refuse a value that occurs more than once."""
    if len(set(values)) < len(values):
        seen = set()
        twice = [v for v in values if v in seen or seen.add(v)]
        raise ValueError(f'{where}: {kind} {twice[0]} occurs more than once')


def some(values: Sequence, number: int = 3) -> str:
    """The first values, and dots if there are more."""
    dots = ', ...' if len(values) > number else ''
    return ', '.join(map(str, values[:number])) + dots
