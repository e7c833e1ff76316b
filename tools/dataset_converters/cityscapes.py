"""Prepare Cityscapes: panoptic annotation and maps of training ids.

    python tools/dataset_converters/cityscapes.py [data/cityscapes] [--check]

Both come from `gtFine/*/*/*_gtFine_instanceIds.png`. Equal to the official
preparation, cityscapesscripts' `createPanopticImgs.py` and
`createTrainIdLabelImgs.py`: the id of a segment is its value in that PNG, a
region of a thing without instances (a group) is a crowd, and classes that are
ignored in evaluation are void, 255 in the maps of training ids.

Difference: `file_name` of an image in the JSON is where it really is below
`leftImg8bit/{split}/`, with its city.
"""
import sys
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence, Set

import numpy as np
from image_files import read_pixels, read_size
from panoptic import measure_segments, segment_info
from panoptic_maker import PanopticMaker
from preparation import Made, check_size, list_names, run

from projects.oneformer import datasets

VOID = 255
CLASSES = datasets.CATEGORIES['cityscapes']
TRAIN_IDS = {c['id']: train_id for train_id, c in enumerate(CLASSES)}
LAST_LABEL = 33  # label ids are 0 to 33; 19 of them are evaluated
INSTANCES = 1000  # label id x 1000 + number is the value of an instance


class Item(NamedTuple):
    """An image: ``CITY/CITY_SEQUENCE_FRAME``."""
    name: str


class Cityscapes(PanopticMaker):
    """A split of Cityscapes with fine annotation."""
    default_root = 'data/cityscapes'
    official_counts = dict(train=2975, val=500, test=1525)
    categories = CLASSES

    def find(self) -> List[Item]:
        """Pair the images with their instance ids."""
        images = self.folder(f'leftImg8bit/{self.name}',
                             'a folder of images for each city')
        annotations = self.folder(f'gtFine/{self.name}',
                                  'a folder of annotations for each city')
        images = _list_cities(images, '_leftImg8bit.png')
        annotated = _list_cities(annotations, '_gtFine_instanceIds.png')
        self.note_unpaired(images, annotated, annotations)
        return [Item(name) for name in sorted(images & annotated)]

    def file_name(self, item: Item) -> str:
        """Path of an image below the folder of images."""
        return f'{item.name}_leftImg8bit.png'

    def image(self, item: Item) -> Path:
        """The image itself."""
        return self.root / 'leftImg8bit' / self.name / self.file_name(item)

    @property
    def panoptic_json(self) -> Path:
        """The panoptic JSON."""
        return self.root / f'gtFine/cityscapes_panoptic_{self.name}.json'

    def outputs(self, item: Item) -> Sequence[Path]:
        """The panoptic PNG and the map of training ids."""
        name = Path(item.name).name
        return (self.panoptic_json.with_suffix('') /
                f'{name}_gtFine_panoptic.png',
                self._annotation(item, 'labelTrainIds'))

    def make(self, item: Item) -> Made:
        """Translate the instance ids of an image."""
        size = read_size(self.image(item))
        path = self._annotation(item, 'instanceIds')
        values = read_pixels(path, 'I;16', 'I', 'L')
        check_size(path, values.shape, size, self.image(item))
        segments = _find_segments(values, path)
        panoptic_path, semantic_path = self.outputs(item)
        ids = {s['id']: s['id'] for s in segments}
        labels = {s['id']: TRAIN_IDS[s['category_id']] for s in segments}
        image_id = Path(item.name).name
        image = dict(
            id=image_id,
            width=size[1],
            height=size[0],
            file_name=self.file_name(item))
        annotation = dict(
            image_id=image_id,
            file_name=panoptic_path.name,
            segments_info=segments)
        return Made(
            {
                panoptic_path: _translate(values, ids, 0, np.int32),
                semantic_path: _translate(values, labels, VOID, np.uint8)
            }, dict(image=image, annotation=annotation))

    def _annotation(self, item: Item, kind: str) -> Path:
        return (self.root / 'gtFine' / self.name /
                f'{item.name}_gtFine_{kind}.png')


def _list_cities(folder: Path, suffix: str) -> Set[str]:
    """``CITY/`` and the name without suffix of the files in all cities."""
    return {
        f'{city.name}/{name}'
        for city in folder.iterdir() if city.is_dir()
        for name in list_names(city, suffix)
    }


def _find_segments(values: np.ndarray, path: Path) -> List[dict]:
    """``segments_info`` of the classes that are evaluated, by value.

    Raises:
        ValueError: If a value stands for no label.
    """
    segments = []
    for value, area, box in zip(*measure_segments(values)):
        is_region = value < INSTANCES
        label = int(value if is_region else value // INSTANCES)
        if not 0 <= label <= LAST_LABEL:
            raise ValueError(f'{path} has the value {value}, whose label '
                             f'{label} is not one of 0 to {LAST_LABEL}')
        if label in TRAIN_IDS:
            is_crowd = is_region and CLASSES[TRAIN_IDS[label]]['isthing']
            segments.append(segment_info(value, label, area, box, is_crowd))
    return segments


def _translate(values: np.ndarray, table: Dict[int, int], other: int,
               dtype: type) -> np.ndarray:
    """Replace the values of a map, those not in a table by ``other``."""
    lookup = np.full((LAST_LABEL + 1) * INSTANCES, other, dtype)
    lookup[list(table)] = list(table.values())
    return lookup[values]


if __name__ == '__main__':
    sys.exit(run(Cityscapes, __doc__))
