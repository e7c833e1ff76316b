"""Panoptic annotation: measuring and reading it."""
import os
from itertools import count
from pathlib import Path
from typing import Any, Iterable, List, NamedTuple, Sequence, Set, Tuple

import numpy as np
from preparation import Split

from projects.oneformer.datasets import load_panoptic_json
from projects.oneformer.datasets.checks import check_fields, some


class Measures(NamedTuple):
    """The segments of a map, by ascending id.

    Attributes:
        ids: (N, ).
        areas: In pixels, (N, ).
        boxes: x, y, width and height in pixels, (N, 4).
    """
    ids: np.ndarray
    areas: np.ndarray
    boxes: np.ndarray


def measure_segments(id_map: np.ndarray) -> Measures:
    """Find the values of a map (H, W), how often and where each stands.

    Rows are cut into runs of equal values, of which there are few.
    """
    begins = np.ones(id_map.shape, bool)
    np.not_equal(id_map[:, 1:], id_map[:, :-1], out=begins[:, 1:])
    starts = np.flatnonzero(begins)
    lengths = np.diff(starts, append=id_map.size)
    rows, lefts = np.divmod(starts, id_map.shape[1])

    ids, segment = np.unique(id_map.ravel()[starts], return_inverse=True)
    order = np.argsort(segment, kind='stable')
    first = np.searchsorted(segment, np.arange(len(ids)), sorter=order)
    lefts, rows, lengths = lefts[order], rows[order], lengths[order]
    x = np.minimum.reduceat(lefts, first)
    y = np.minimum.reduceat(rows, first)
    width = np.maximum.reduceat(lefts + lengths, first) - x
    height = np.maximum.reduceat(rows, first) - y + 1
    return Measures(ids, np.add.reduceat(lengths, first),
                    np.stack([x, y, width, height], 1))


def segment_info(segment_id: int, category_id: int, area: int,
                 box: Iterable[int], iscrowd: int) -> dict:
    """An entry of ``segments_info``, in plain numbers."""
    return dict(
        id=int(segment_id),
        category_id=int(category_id),
        area=int(area),
        bbox=[int(side) for side in box],
        iscrowd=int(iscrowd))


def colored_ids(colors: Sequence[Sequence[int]]) -> List[int]:
    """A segment id for each RGB colour, itself a colour like it.

    So a panoptic PNG, opened as a picture, shows the classes. Where a colour
    is taken, channels are shifted by up to 30, as in panopticapi, but by a
    fixed rule: the same annotation gives the same ids.
    """
    ids = []
    for color in colors:
        for k in count():
            shifts = ((23 * k + 30) % 61 - 30, (31 * k + 29) % 59 - 29,
                      (43 * k + 28) % 57 - 28)  # none for k = 0
            r, g, b = (min(max(channel + shift, 0), 255)
                       for channel, shift in zip(color, shifts))
            segment_id = r + 256 * g + 65536 * b
            if segment_id and segment_id not in ids:
                ids.append(segment_id)
                break
    return ids


def check_categories(found: Sequence[dict], expected: Sequence[dict],
                     where: Any) -> None:
    """Compare the categories of a JSON with those of the data set.

    Names are left out: their spelling differs between releases.

    Raises:
        ValueError: If the ids differ, or what is a thing.
    """
    found = {c.get('id'): c.get('isthing') for c in found}
    expected = {c['id']: c['isthing'] for c in expected}
    if found.keys() != expected.keys():
        raise ValueError(
            f'{where} has {len(found)} categories, {len(expected)} expected: '
            f'the ids {some(sorted(found.keys() ^ expected.keys()))} are only '
            'in one of them; is it another data set?')
    wrong = [i for i in expected if found[i] != expected[i]]
    if wrong:
        raise ValueError(f'{where}: isthing of category {wrong[0]} is '
                         f'{found[wrong[0]]}, expected {expected[wrong[0]]}')


class AnnotatedSplit(Split):
    """A split that is downloaded with its panoptic annotation."""
    #: Those of the JSON.
    categories: Sequence[dict]

    def read_panoptic(self, json_path: Path, images: Path,
                      pngs: Path) -> List[Tuple[dict, dict]]:
        """Pairs of an image and its annotation, for which all files exist.

        Notes images, PNGs and entries of the JSON that are missing.

        Args:
            json_path: The JSON.
            images: Folder of the images.
            pngs: Folder of the panoptic PNGs.

        Raises:
            ValueError: If the JSON is none, or is one of another data set.
        """
        content = load_panoptic_json(str(json_path))
        check_categories(content['categories'], self.categories, json_path)
        _check_entries(content, str(json_path))
        annotations = {a['image_id']: a for a in content['annotations']}
        pairs = [(image, annotations[image['id']])
                 for image in content['images'] if image['id'] in annotations]
        self.note(f'images without annotation in {json_path}', [
            image['file_name']
            for image in content['images'] if image['id'] not in annotations
        ])
        there, wanted = _listing(images), [i['file_name'] for i, _ in pairs]
        self.note(f'images missing in {images}', _without(wanted, there))
        there_png = {n for n in _listing(pngs) if n.endswith('.png')}
        wanted_png = [a['file_name'] for a in annotations.values()]
        self.note(f'PNGs missing in {pngs}', _without(wanted_png, there_png))
        self.note(f'PNGs in {pngs} without annotation in {json_path}',
                  _without(sorted(there_png), set(wanted_png)))
        return [(image, annotation) for image, annotation in pairs
                if image['file_name'] in there
                and annotation['file_name'] in there_png]


def _check_entries(content: dict, where: str) -> None:
    for image in content['images']:
        check_fields(image, 'image', where)
    for annotation in content['annotations']:
        check_fields(annotation, 'panoptic annotation', where)
        for segment in annotation['segments_info']:
            check_fields(segment, 'segment', where)


def _listing(folder: Path) -> Set[str]:
    return set(os.listdir(folder))


def _without(names: Iterable[str], others: Set[str]) -> List[str]:
    return [name for name in names if name not in others]
