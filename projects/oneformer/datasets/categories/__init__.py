"""The classes of the data sets that published checkpoints were trained on.

Each in the official order, which is that of the checkpoints' classifiers, of
the texts in training and of the values in semantic label PNGs.
"""
from typing import Sequence, Union

from mmengine.fileio import exists, load

from . import ade20k, cityscapes, coco, mapillary

CATEGORIES = dict(
    coco=coco.CATEGORIES,
    ade20k=ade20k.CATEGORIES,
    cityscapes=cityscapes.CATEGORIES,
    mapillary=mapillary.CATEGORIES)

__all__ = ['CATEGORIES', 'find_categories']


def find_categories(spec: Union[str, Sequence[dict]],
                    where: str = '') -> Sequence[dict]:
    """The categories that a setting means, in their official order.

    Args:
        spec: A name in `CATEGORIES`, the categories themselves, or the path
            of a JSON that has ``categories``, such as a COCO annotation.
        where: What has this setting; named in errors.

    Returns:
        list[dict]: As in a COCO panoptic JSON; `panoptic_metainfo` checks
        what each of them must have.

    Raises:
        FileNotFoundError: If a text is no such name and no file.
        ValueError: If there are no categories in it, or they are no dicts.
    """
    if isinstance(spec, str) and spec in CATEGORIES:
        return CATEGORIES[spec]
    prefix = f'{where}: ' if where else ''
    categories, origin = spec, f'categories={spec!r}'
    if isinstance(spec, str):
        categories, origin = _read_json(spec, prefix), spec
    if (not isinstance(categories, (list, tuple)) or not categories
            or not all(isinstance(entry, dict) for entry in categories)):
        raise ValueError(
            f'{prefix}{origin} has no list of categories: give the name of a '
            f'known data set ({", ".join(CATEGORIES)}), a list of dicts with '
            'id, name and isthing, or a JSON file that has such a list under '
            "'categories'")
    return categories


def _read_json(path: str, prefix: str):
    """What a JSON has under ``categories``, None without that."""
    if not exists(path):
        raise FileNotFoundError(
            f'{prefix}categories={path!r} is neither a known data set '
            f'({", ".join(CATEGORIES)}) nor a file that exists')
    try:
        content = load(path, file_format='json')
    except ValueError as error:
        raise ValueError(
            f'{prefix}{path} is not a JSON file: {error}') from error
    return content.get('categories') if isinstance(content, dict) else None
