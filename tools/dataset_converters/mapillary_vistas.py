"""Check Mapillary Vistas 1.2, which is read as it was downloaded.

    python tools/dataset_converters/mapillary_vistas.py [data/mapillary_vistas]

Nothing is made. Without --check, only the JSONs are compared with the
folders; with it, every image and PNG is decoded.
"""
import sys
from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence

import numpy as np
from image_files import read_size
from panoptic import AnnotatedSplit
from preparation import Made, check_size, list_names, run

from projects.oneformer import datasets

FOLDERS = dict(train='training', val='validation', test='testing')


class Item(NamedTuple):
    """An image.

    Attributes:
        name: Of the image.
        annotation: Its entry in the panoptic JSON; None for a test image.
    """
    name: str
    annotation: Optional[dict] = None


class MapillaryVistas(AnnotatedSplit):
    """A split of Mapillary Vistas 1.2."""
    default_root = 'data/mapillary_vistas'
    official_counts = dict(train=18000, val=2000, test=5000)
    categories = datasets.CATEGORIES['mapillary']

    def find(self) -> List[Item]:
        """Read the panoptic JSON; see `AnnotatedSplit.read_panoptic`."""
        folder = FOLDERS[self.name]
        images = self.folder(f'{folder}/images', 'the images')
        if self.name == 'test':
            return [
                Item(f'{name}.jpg')
                for name in sorted(list_names(images, '.jpg'))
            ]
        self._refuse_second_release(folder)
        pngs = self.folder(f'{folder}/panoptic', 'the panoptic PNGs')
        json_path = self.file(f'{folder}/panoptic/panoptic_2018.json',
                              'the panoptic annotation')
        labels = self.folder(f'{folder}/labels', 'the label PNGs')
        labelled = list_names(labels, '.png')
        items = [
            Item(image['file_name'], annotation)
            for image, annotation in self.read_panoptic(
                json_path, images, pngs)
        ]
        self.note(f'images without PNG in {labels}', [
            item.name for item in items if Path(item.name).stem not in labelled
        ])
        return [item for item in items if Path(item.name).stem in labelled]

    def _refuse_second_release(self, folder: str) -> None:
        first = self.root / folder / 'v1.2'
        if first.is_dir() and not (self.root / folder / 'panoptic').exists():
            raise ValueError(
                f'{self.root} has the tree of release 2.0: move or link '
                f'labels, instances and panoptic from {first} to '
                f'{first.parent}')

    def image(self, item: Item) -> Path:
        """The image itself."""
        return self.root / FOLDERS[self.name] / 'images' / item.name

    def outputs(self, item: Item) -> Sequence[Path]:
        """Nothing."""
        return ()

    def make(self, item: Item) -> Made:
        """Check the panoptic PNG and the label PNG of an image."""
        if item.annotation is None:
            return Made({})
        image, folder = self.image(item), self.root / FOLDERS[self.name]
        size = read_size(image)

        png = folder / 'panoptic' / item.annotation['file_name']
        id_map = datasets.read_id_map(str(png))
        check_size(png, id_map.shape, size, image)
        listed = {s['id'] for s in item.annotation['segments_info']} | {0}
        strange = set(np.unique(datasets.id_runs(id_map)[0]).tolist()) - listed
        if strange:
            raise ValueError(f'{png} has the segment id {min(strange)}, which '
                             'the segments_info of its annotation lacks')

        png = folder / 'labels' / f'{image.stem}.png'
        labels = datasets.read_semantic_map(str(png))
        check_size(png, labels.shape, size, image)
        if labels.max() > len(self.categories):  # which stands for void
            raise ValueError(f'{png} has the label {labels.max()}, expected 0 '
                             f'to {len(self.categories)}')
        return Made({})


if __name__ == '__main__':
    sys.exit(run(MapillaryVistas, __doc__))
