"""Prepare COCO: semantic maps from the panoptic annotation.

    python tools/dataset_converters/coco.py [data/coco] [--check]

Equal to the official preparation, Mask2Former's
`prepare_coco_semantic_annos_from_panoptic_annos.py`: a pixel of a map is the
place of its class among the 133, crowds are of their class, and void is 255.
"""
import sys
from pathlib import Path
from typing import List, NamedTuple, Sequence

import numpy as np
from image_files import read_size
from panoptic import AnnotatedSplit
from preparation import Made, check_size, run

from projects.oneformer import datasets

VOID = 255
LABELS = {
    c['id']: label
    for label, c in enumerate(datasets.CATEGORIES['coco'])
}


class Item(NamedTuple):
    """A panoptic PNG and what the JSON says of it.

    Attributes:
        name: Of the PNG.
        image: Of the image.
        segments: (id, category id) of each.
    """
    name: str
    image: str
    segments: np.ndarray


class Coco(AnnotatedSplit):
    """A split of COCO 2017."""
    default_root = 'data/coco'
    official_counts = dict(train=118287, val=5000)
    categories = datasets.CATEGORIES['coco']

    def find(self) -> List[Item]:
        """Read the panoptic JSON; see `AnnotatedSplit.read_panoptic`."""
        images = self.folder(f'{self.name}2017', 'the images')
        json_path = self.file(f'annotations/panoptic_{self.name}2017.json',
                              'the panoptic annotation')
        pngs = self.folder(f'annotations/panoptic_{self.name}2017',
                           'the panoptic PNGs')
        instances = 'annotations/instances_val2017.json'
        if self.name == 'val' and not (self.root / instances).is_file():
            self.note('files missing for AP on the instance annotation',
                      [str(self.root / instances)])
        return [
            Item(
                annotation['file_name'], image['file_name'],
                np.array([(s['id'], s['category_id'])
                          for s in annotation['segments_info']],
                         np.int32).reshape(-1, 2))
            for image, annotation in self.read_panoptic(
                json_path, images, pngs)
        ]

    def image(self, item: Item) -> Path:
        """The image itself."""
        return self.root / f'{self.name}2017' / item.image

    def outputs(self, item: Item) -> Sequence[Path]:
        """The semantic map."""
        return (self.root / f'panoptic_semseg_{self.name}2017' / item.name, )

    def make(self, item: Item) -> Made:
        """Replace each segment by the place of its class."""
        png = self.root / f'annotations/panoptic_{self.name}2017' / item.name
        id_map = datasets.read_id_map(str(png))
        image = self.image(item)
        size = read_size(image)
        check_size(png, id_map.shape, size, image)
        path, = self.outputs(item)
        return Made({path: semantic_map(id_map, item.segments, png)})


def semantic_map(id_map: np.ndarray, segments: np.ndarray,
                 png: Path) -> np.ndarray:
    """Labels uint8 (H, W) from an id map and (id, category id) of segments.

    Raises:
        ValueError: If the map has an id that no segment has, or a segment
            the id of no category.
    """
    unknown = set(segments[:, 1].tolist()) - LABELS.keys()
    if unknown:
        raise ValueError(f'the annotation of {png} has the category_id '
                         f'{min(unknown)}, which no category has')
    labels = [VOID] + [LABELS[category] for _, category in segments.tolist()]
    ids = np.concatenate([[0], segments[:, 0]])
    order = np.argsort(ids)
    run_ids, lengths = datasets.id_runs(id_map)
    places = np.searchsorted(ids, run_ids, sorter=order)
    places = order[np.minimum(places, len(ids) - 1)]
    strange = ids[places] != run_ids
    if strange.any():
        raise ValueError(
            f'{png} has the segment id {run_ids[strange].min()}, which the '
            'segments_info of its annotation lacks')
    labels = np.array(labels, np.uint8)[places]
    return np.repeat(labels, lengths).reshape(id_map.shape)


if __name__ == '__main__':
    sys.exit(run(Coco, __doc__))
