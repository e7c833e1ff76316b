"""The classes of a data set: from its categories to labels and colours."""
from itertools import count
from typing import Dict, Iterator, List, Optional, Sequence, Tuple, Union

from .categories import find_categories
from .checks import check_fields, check_unique, some


def complete_categories(spec: Union[str, Sequence[Union[str, dict]]],
                        where: str,
                        isthing: Optional[int] = None) -> List[dict]:
    """The categories that a setting means, with what they leave out.

    Args:
        spec (str or list): As `find_categories` takes it; in a list, names
            may stand for categories.
        where (str): What has this setting; named in errors.
        isthing (int, optional): 1 or 0 for categories that do not say.

    Returns:
        list[dict]: As in a COCO panoptic JSON. Ids count from 0 if no
        category has one.
    """
    if isinstance(spec, (list, tuple)):
        spec = [dict(name=c) if isinstance(c, str) else c for c in spec]
    categories = [dict(c) for c in find_categories(spec, where)]
    numbered = any('id' in category for category in categories)
    for index, category in enumerate(categories):
        if not numbered:
            category['id'] = index
        if isthing is not None:
            category.setdefault('isthing', isthing)
    return categories


def panoptic_metainfo(categories: Sequence[dict], ann_file: str) -> dict:
    """Meta information from the ``categories`` of a panoptic JSON.

    Args:
        categories (list[dict]): Each with ``id``, ``name``, ``isthing`` and
            perhaps ``color``.
        ann_file (str): Named in errors.

    Returns:
        dict: See `BaseSegmentationDataset`.

    Raises:
        ValueError: If a category lacks something or an id occurs twice.
    """
    for category in categories:
        check_fields(category, 'category', ann_file)
        if category['isthing'] not in (0, 1):
            raise ValueError(
                f'{ann_file}: category {category["name"]!r} has isthing '
                f'{category["isthing"]!r}: it must be 1 (thing) or 0 (stuff)')
    ids = [category['id'] for category in categories]
    check_unique(ids, 'category id', ann_file)
    # False sorts first, and sorting keeps the order of equals.
    ordered = sorted(categories, key=lambda category: not category['isthing'])
    names = tuple(category['name'] for category in ordered)
    num_things = sum(bool(category['isthing']) for category in categories)
    category_ids = tuple(category['id'] for category in ordered)
    return dict(
        classes=names,
        thing_classes=names[:num_things],
        stuff_classes=names[num_things:],
        palette=_palette(ordered, ann_file),
        category_ids=category_ids,
        class_order=tuple(category_ids.index(i) for i in ids))


def match_categories(categories: Sequence[dict], metainfo: dict,
                     where: str) -> Dict[int, int]:
    """The labels that the categories of an annotation have in a data set.

    Categories are found by name where all their names are classes of the
    data set; else by id where all their ids are known, unless a name then
    gets the id of another. An annotation may lack classes of the data set,
    but have no others.

    Args:
        categories (list[dict]): Of the annotation, with ``id``, ``name`` and
            perhaps ``isthing``.
        metainfo (dict): Of the data set.
        where (str): The annotation; named in errors.

    Returns:
        dict[int, int]: Label by category id.

    Raises:
        ValueError: If a category is found in neither way, or is a thing here
            and stuff there.
    """
    classes = metainfo['classes']
    by_name = {name: label for label, name in enumerate(classes)}
    by_id = {i: label for label, i in enumerate(metainfo['category_ids'])}
    labels = {c['id']: by_name.get(c['name']) for c in categories}
    if None in labels.values() or len(by_name) < len(classes):
        unknown = [c['name'] for c in categories if c['name'] not in by_name]
        labels = {c['id']: by_id.get(c['id']) for c in categories}
        if None in labels.values() or any(
                c['name'] in by_name and classes[labels[c['id']]] != c['name']
                for c in categories):
            raise ValueError(
                f'{where}: {len(unknown)} of its {len(categories)} categories '
                f'are none of the {len(classes)} that the config gives: '
                f'{some(unknown)}. Categories are found by name, or all by id')
    num_things = len(metainfo['thing_classes'])
    for category in categories:
        label = labels[category['id']]
        isthing = int(label < num_things)
        if category.get('isthing', isthing) != isthing:
            raise ValueError(
                f'{where}: category {category["name"]!r} has isthing '
                f'{category["isthing"]}, but {isthing} in the categories that '
                'the config gives')
    return labels


def merge_metainfo(given: dict, read: dict, ann_file: str) -> dict:
    """Lay the config's metainfo over the JSON's, which it must not deny."""
    merged = {**given, **read}
    if 'palette' in given:
        merged['palette'] = [tuple(color) for color in given['palette']]
        if len(merged['palette']) != len(read['classes']):
            raise ValueError(
                f'metainfo has a palette of {len(merged["palette"])} colours, '
                f'but {ann_file} has {len(read["classes"])} categories')
    for key in set(given) & set(read) - {'palette'}:
        if tuple(given[key]) != read[key]:
            raise ValueError(
                f'metainfo has {key} {tuple(given[key])}, but {ann_file} has '
                f'{read[key]}: leave {key} out, it is read from the file')
    return merged


def _palette(categories: Sequence[dict],
             ann_file: str) -> List[Tuple[int, int, int]]:
    """The colour of each category, or a distinct one where it has none."""
    given = []
    for category in categories:
        color = category.get('color')
        if color is not None and not (len(color) == 3 and all(0 <= c <= 255
                                                              for c in color)):
            raise ValueError(
                f'{ann_file}: category {category["name"]!r} has color {color}:'
                ' it must be three numbers from 0 to 255')
        given.append(color and tuple(int(c) for c in color))
    free = (color for color in _distinct_colors() if color not in given)
    return [color or next(free) for color in given]


def _distinct_colors() -> Iterator[Tuple[int, int, int]]:
    """Colours as in PASCAL VOC: the bits of a number, dealt to R, G, B."""
    for number in count(1):
        channels = [0, 0, 0]
        for bit in range(24):
            channels[bit % 3] |= (number >> bit & 1) << (7 - bit // 3)
        yield tuple(channels)
