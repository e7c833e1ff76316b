"""Prepare ADE20K: panoptic, instance and semantic annotation.

    python tools/dataset_converters/ade20k.py [data/ADEChallengeData2016]

Equal in effect to the official preparation, Mask2Former's
`prepare_ade20k_pan_seg.py` and `prepare_ade20k_ins_seg.py` and detectron2's
`prepare_ade20k_sem_seg.py`:

- stuff comes from the semantic annotation, things from the instances, which
  cover stuff; where the semantic annotation has a thing and there is no
  instance, the panoptic annotation is void;
- area and box of stuff are those before things cover it, and it stays in the
  list when nothing is left of it: PQ as officially measured depends on that;
- semantic maps hold the classes from 0, and 255 for void.

Differences: segment ids do not depend on chance, and the categories of the
instance JSON have the names of the panoptic one, not of another list.
"""
import sys
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np
from image_files import read_pixels, read_size
from panoptic import colored_ids, measure_segments, segment_info
from panoptic_maker import PanopticMaker
from preparation import Made, check_size, list_names, run
from pycocotools import mask as mask_util

from projects.oneformer import datasets

VOID = 255
FOLDERS = dict(train='training', val='validation')
CLASSES = datasets.CATEGORIES['ade20k']
# The instance annotation counts the things from 1, in the order of all
# classes, as Mask2Former's `ade20k_instance_catid_mapping.txt` lists them.
THINGS = tuple(c['id'] for c in CLASSES if c['isthing'])


class Item(NamedTuple):
    """An image: the name of its files, without extension."""
    name: str


class Ade20k(PanopticMaker):
    """A split of ADE20K's scene parsing benchmark, with its instances."""
    default_root = 'data/ADEChallengeData2016'
    official_counts = dict(train=20210, val=2000)
    categories = CLASSES

    def find(self) -> List[Item]:
        """Pair the images with both annotations."""
        images = list_names(self._source('images', 'the images'), '.jpg')
        paired = images
        for kind in ('annotations', 'annotations_instance'):
            folder = self._source(kind, 'the PNGs of that annotation')
            pngs = list_names(folder, '.png')
            self.note_unpaired(images, pngs, folder)
            paired = paired & pngs
        return [Item(name) for name in sorted(paired)]

    def _source(self, kind: str, content: str) -> Path:
        return self.folder(f'{kind}/{FOLDERS[self.name]}', content)

    def file_name(self, item: Item) -> str:
        """Path of an image below the folder of images."""
        return f'{item.name}.jpg'

    def image(self, item: Item) -> Path:
        """The image itself."""
        return (self.root / 'images' / FOLDERS[self.name] /
                self.file_name(item))

    @property
    def panoptic_json(self) -> Path:
        """The panoptic JSON."""
        return self.root / f'ade20k_panoptic_{self.name}.json'

    def outputs(self, item: Item) -> Sequence[Path]:
        """The panoptic PNG and the semantic map."""
        png = f'{item.name}.png'
        return (self.root / f'ade20k_panoptic_{self.name}' / png, self.root /
                'annotations_detectron2' / FOLDERS[self.name] / png)

    def make(self, item: Item) -> Made:
        """Combine both annotations of an image."""
        size = read_size(self.image(item))
        semantic = self._read_semantic(item, size)
        path = self._annotation('annotations_instance', item)
        classes, numbers = self._read_instances(path, item, size)
        segments = _find_stuff(semantic) + _find_things(classes, numbers, path)
        ids = colored_ids([CLASSES[s.category]['color'] for s in segments])
        panoptic_path, semantic_path = self.outputs(item)
        entry = dict(
            image=dict(
                id=item.name,
                file_name=self.file_name(item),
                width=size[1],
                height=size[0]),
            annotation=dict(
                image_id=item.name,
                file_name=panoptic_path.name,
                segments_info=[
                    segment_info(i, s.category, s.area, s.box, iscrowd=0)
                    for i, s in zip(ids, segments)
                ]),
            instances=_encode_instances(item.name, numbers, segments))
        return Made(
            {
                panoptic_path: _paint(semantic, numbers, segments, ids),
                semantic_path: semantic
            }, entry)

    def contents(self, entries: List[Any]) -> Dict[Path, dict]:
        """The panoptic and the instance JSON."""
        contents = super().contents(entries)
        instances = [i for entry in entries for i in entry['instances']]
        path = self.root / f'ade20k_instance_{self.name}.json'
        contents[path] = dict(
            images=[entry['image'] for entry in entries],
            categories=[CLASSES[category] for category in THINGS],
            annotations=[
                dict(id=number, **instance)
                for number, instance in enumerate(instances, 1)
            ])
        return contents

    def _annotation(self, kind: str, item: Item) -> Path:
        return self.root / kind / FOLDERS[self.name] / f'{item.name}.png'

    def _read_semantic(self, item: Item, size: Tuple[int, int]) -> np.ndarray:
        """Classes from 0, and void, uint8 (H, W)."""
        path = self._annotation('annotations', item)
        classes = datasets.read_semantic_map(str(path))
        check_size(path, classes.shape, size, self.image(item))
        if classes.max() > len(CLASSES):
            raise ValueError(f'{path} has the class {classes.max()}, expected '
                             f'1 to {len(CLASSES)}, or 0 for void')
        return classes - np.uint8(1)  # 0 becomes 255

    def _read_instances(self, path: Path, item: Item,
                        size: Tuple[int, int]) -> Tuple[np.ndarray, ...]:
        """Classes of the instances from 1 and numbers of the instances from
        1, uint8 (H, W) each."""
        channels = read_pixels(path, 'RGB')
        check_size(path, channels.shape, size, self.image(item))
        classes, numbers = channels[..., 0], channels[..., 1]
        wrong = (numbers > 0) & ((classes < 1) | (classes > len(THINGS)))
        if wrong.any():
            raise ValueError(
                f'{path} has the class {classes[wrong][0]} for the instance '
                f'{numbers[wrong][0]}, expected 1 to {len(THINGS)}')
        return classes, numbers


class Segment(NamedTuple):
    """A segment before it has an id.

    Attributes:
        category: Category id, 0 to 149.
        area: In pixels.
        box: x, y, width and height in pixels.
        number: Of the instance; 0 for stuff.
    """
    category: int
    area: int
    box: np.ndarray
    number: int


def _find_stuff(semantic: np.ndarray) -> List[Segment]:
    return [
        Segment(category, area, box, 0)
        for category, area, box in zip(*measure_segments(semantic))
        if category != VOID and not CLASSES[category]['isthing']
    ]


def _find_things(classes: np.ndarray, numbers: np.ndarray,
                 path: Path) -> List[Segment]:
    """The instances, by number.

    Raises:
        ValueError: If an instance has pixels of several classes.
    """
    pairs = numbers.astype(np.int32) * 256 + classes
    measures = measure_segments(np.where(numbers > 0, pairs, 0))
    things = [
        Segment(THINGS[pair % 256 - 1], area, box, pair // 256)
        for pair, area, box in zip(*measures) if pair
    ]
    for one, other in zip(things, things[1:]):
        if one.number == other.number:
            raise ValueError(f'{path}: instance {one.number} is both '
                             f'{CLASSES[one.category]["name"]} and '
                             f'{CLASSES[other.category]["name"]}')
    return things


def _paint(semantic: np.ndarray, numbers: np.ndarray,
           segments: Sequence[Segment], ids: Sequence[int]) -> np.ndarray:
    """The id map, int32 (H, W): things over stuff over void."""
    stuff_ids, thing_ids = np.zeros((2, 256), np.int32)
    for segment, segment_id in zip(segments, ids):
        if segment.number:
            thing_ids[segment.number] = segment_id
        else:
            stuff_ids[segment.category] = segment_id
    return np.where(numbers > 0, thing_ids[numbers], stuff_ids[semantic])


def _encode_instances(image_id: str, numbers: np.ndarray,
                      segments: Sequence[Segment]) -> List[dict]:
    """COCO annotations of the things, but for their ``id``."""
    things = [segment for segment in segments if segment.number]
    if not things:
        return []
    wanted = np.array([thing.number for thing in things], np.uint8)
    # (N, W, H); pycocotools wants (H, W, N) in column-major order.
    masks = np.ascontiguousarray(numbers.T) == wanted[:, None, None]
    return [
        dict(
            image_id=image_id,
            iscrowd=0,
            category_id=thing.category,
            bbox=thing.box.tolist(),
            segmentation=dict(size=rle['size'], counts=rle['counts'].decode()),
            area=int(thing.area))
        for thing, rle in zip(things, mask_util.encode(masks.view(np.uint8).T))
    ]


if __name__ == '__main__':
    sys.exit(run(Ade20k, __doc__))
