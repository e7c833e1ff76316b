"""Small data sets in the trees of the real ones, written by the tests."""
import json
from pathlib import Path
from typing import Dict, List, Sequence

import numpy as np
from PIL import Image

from projects.oneformer.datasets import CATEGORIES
from tests.helpers import write_panoptic_dataset

SIZE = (40, 56)  # height and width of most images


def patches(rng: np.random.Generator,
            values: Sequence[int],
            size: Sequence[int] = SIZE) -> np.ndarray:
    """A map (H, W) of ragged regions, each value in two or more of them."""
    values = np.concatenate([values, values, rng.choice(values, 3)])
    centres = rng.random((len(values), 2)) * size
    grid = np.indices(size).reshape(2, -1, 1)
    grid = grid + rng.normal(0, 1, (2, size[0] * size[1], 1))
    distance = ((grid - centres.T[:, None])**2).sum(0)
    return values[distance.argmin(1)].reshape(size)


def save(path: Path, pixels: np.ndarray) -> None:
    """Write pixels as they are; 16 bits become a 16-bit PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def save_picture(path: Path, size: Sequence[int] = SIZE) -> None:
    """An image of noise."""
    rng = np.random.default_rng(0)
    save(path, rng.integers(0, 256, (*size, 3), np.uint8))


def snapshot(root: Path) -> Dict[str, tuple]:
    """Time of writing and content of every file below a folder."""
    return {
        str(path.relative_to(root)):
        (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(root.rglob('*')) if path.is_file()
    }


def panoptic_samples(categories: Sequence[dict],
                     number: int = 3,
                     seed: int = 0) -> List[dict]:
    """Samples for `write_panoptic_dataset`, with every odd case in them.

    All have void and several segments of a class; the first a crowd, the
    second no thing, the third the smallest and the largest id.
    """
    rng = np.random.default_rng(seed)
    things = [c['id'] for c in categories if c['isthing']]
    stuff = [c['id'] for c in categories if not c['isthing']]
    samples = []
    for index in range(number):
        chosen = [*rng.choice(stuff, 3, replace=False)]
        if index != 1:
            thing = rng.choice(things, 3, replace=False)
            chosen += [*thing, *thing, thing[0]]
        ids = rng.choice(2**24 - 1, len(chosen), replace=False) + 1
        if index == 2:
            ids[:2] = 1, 2**24 - 1
        id_map = patches(rng, [0, *ids])
        samples.append(
            dict(
                name=f'{index + 1:012d}',
                id_map=id_map,
                segments=[(int(i), int(c), int(index == 0
                                               and n == len(ids) - 1))
                          for n, (i, c) in enumerate(zip(ids, chosen))]))
    return samples


def coco_tree(root: Path, split: str = 'val', number: int = 3) -> List[dict]:
    """COCO: JPEGs, panoptic PNGs and two JSONs; returns the samples."""
    samples = panoptic_samples(CATEGORIES['coco'], number)
    name = f'{split}2017'
    write_panoptic_dataset(root, samples, CATEGORIES['coco'], name, '.jpg')
    (root / 'annotations').mkdir(exist_ok=True)
    for path in (f'panoptic_{name}', f'panoptic_{name}.json'):
        (root / path).rename(root / 'annotations' / path)
    (root / f'annotations/instances_{name}.json').write_text('{}')
    return samples


def ade20k_tree(root: Path,
                split: str = 'val',
                number: int = 3) -> Dict[str, tuple]:
    """ADE20K; returns classes from 1, instance classes and instance numbers
    of each image, uint8 (H, W).

    Instances cover stuff, and not every pixel of a thing is in an instance.
    The first image has stuff that an instance covers wholly, the second has
    no instance.
    """
    rng = np.random.default_rng(1)
    folder = dict(train='training', val='validation')[split]
    thing_count = sum(c['isthing'] for c in CATEGORIES['ade20k'])
    images = {}
    for index in range(number):
        name = f'ADE_{split}_{index + 1:08d}'
        size = (SIZE[0] + index, SIZE[1])
        classes = rng.choice(150, 7, replace=False) + 1
        semantic = patches(rng, [0, 1, 150, *classes], size).astype(np.uint8)
        if index == 0:
            semantic[4:7, 5:9] = 3  # sky, nowhere else
            semantic[semantic == 3] = 0
            semantic[4:7, 5:9] = 3
        numbers = np.zeros(size, np.uint8)
        if index != 1:
            numbers = patches(rng, [0, 0, 0, 1, 2, 9, 255], size)
            numbers = numbers.astype(np.uint8)
            numbers[3:9, 4:12] = 2
        class_of = rng.integers(1, thing_count + 1, 256).astype(np.uint8)
        class_of[[0, 1, 2]] = 0, 1, 100
        instances = class_of[numbers]
        instances[0, :3] = 7  # a class without an instance is not read
        numbers[0, :3] = 0
        blue = np.zeros_like(numbers)
        save_picture(root / f'images/{folder}/{name}.jpg', size)
        save(root / f'annotations/{folder}/{name}.png', semantic)
        save(root / f'annotations_instance/{folder}/{name}.png',
             np.stack([instances, numbers, blue], -1))
        images[name] = semantic, instances, numbers
    return images


def cityscapes_tree(root: Path,
                    split: str = 'val',
                    number: int = 3) -> Dict[str, np.ndarray]:
    """Cityscapes; returns the instance ids, uint16 (H, W), by ``CITY/NAME``.

    They have instances, groups, ignored classes with and without instances;
    the second image has no thing.
    """
    rng = np.random.default_rng(2)
    images = {}
    for index in range(number):
        city = 'aachen' if index < 2 else 'ulm'
        name = f'{city}/{city}_{index:06d}_000019'
        values = [0, 3, 4, 7, 9, 11, 21, 23]
        if index != 1:
            values += [24, 26, 24000, 24001, 26000, 26013, 33002, 29000, 30]
        ids = patches(rng, values).astype(np.uint16)
        save_picture(root / f'leftImg8bit/{split}/{name}_leftImg8bit.png')
        save(root / f'gtFine/{split}/{name}_gtFine_instanceIds.png', ids)
        images[name] = ids
    return images


def mapillary_tree(root: Path,
                   split: str = 'val',
                   number: int = 3) -> List[dict]:
    """Mapillary Vistas 1.2, its label PNGs with a palette."""
    categories = CATEGORIES['mapillary']
    samples = panoptic_samples(categories, number, seed=3)
    folder = root / dict(train='training', val='validation')[split]
    write_panoptic_dataset(folder, samples, categories, 'images', '.jpg')
    (folder / 'panoptic_images').rename(folder / 'panoptic')
    (folder / 'panoptic_images.json').rename(folder /
                                             'panoptic/panoptic_2018.json')
    (folder / 'labels').mkdir()
    for sample in samples:
        label_of = {i: category - 1 for i, category, _ in sample['segments']}
        labels = np.vectorize(lambda i: label_of.get(i, 65))(sample['id_map'])
        image = Image.fromarray(labels.astype(np.uint8))
        image.putpalette(np.random.default_rng(0).bytes(768))
        image.save(folder / f'labels/{sample["name"]}.png')
    return samples


def read_json(path: Path) -> dict:
    """Content of a JSON."""
    return json.loads(path.read_text())


def pixels(path: Path) -> np.ndarray:
    """Values of an image as stored, int64."""
    return np.asarray(Image.open(path)).astype(np.int64)


def ids(path: Path) -> np.ndarray:
    """Segment ids (H, W) of a panoptic PNG."""
    return pixels(path) @ [1, 256, 65536]
