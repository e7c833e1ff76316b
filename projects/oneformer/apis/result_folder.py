"""A folder of results that is valid whenever work on it ends."""
import json
import os
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Sequence, Union

from ..checkpoints.files import complete_or_absent
from .formats import coco_categories

#: Products of which COCO has one JSON for all images: product to its name.
MERGED = {'coco-panoptic': 'panoptic.json', 'coco-instance': 'instances.json'}


class OutputError(Exception):
    """A result cannot be written, and neither can those to come."""


@dataclass
class Record:
    """What is known of an image that has results.

    Attributes:
        name: Of its results, without their folders and suffixes.
        source: Absolute path of the image, or of the video it is a frame of.
        frame: Number of the frame, from 0; None for an image.
        modified: When the source was written, in nanoseconds.
        file_name, height, width: Of the image, as COCO has them.
        products: What there is of it, see `ResultFolder.path`.
    """
    name: str
    source: str
    frame: Optional[int]
    modified: int
    file_name: str = ''
    height: int = 0
    width: int = 0
    products: List[str] = field(default_factory=list)


class ResultFolder:
    """Results of many images, to which later runs may add.

    ``records/`` holds a file for each image, written after its results, so
    that a stopped run goes on where it was. Each file is written under
    another name and renamed; a full disk leaves what was there. The JSONs
    that COCO has for all images are made of one per image.

    Args:
        folder: Made if it is not there.
        settings: What all results in it have in common. A folder with
            results of other settings is refused.
        dataset_meta: See `class_metainfo`.

    Raises:
        OutputError: If it cannot be written to.
        ValueError: If it holds results of other settings.
    """

    def __init__(self, folder: Path, settings: dict,
                 dataset_meta: dict) -> None:
        self.folder = Path(folder)
        if self.folder.is_file():
            raise OutputError(f'{folder} is a file, not a folder')
        self._check_settings(settings)
        self.write('settings.json', to_json(settings))
        self.categories = coco_categories(dataset_meta)
        self.write('categories.json',
                   to_json(dict(categories=self.categories)))
        self.records = self._read_records()
        #: name of the results of each source
        self._names = {
            record.source: record.name.split('/')[0]
            for record in self.records.values()
        }

    def record(self, source: Path, frame: Optional[int] = None) -> Record:
        """What is known of an image, with nothing done if it is new.

        An image that has changed since counts as new.
        """
        source = Path(os.path.abspath(source))
        name = self._name(source)
        file_name = name + source.suffix
        if frame is not None:
            name = f'{name}/{frame:06d}'
            file_name = f'{name}.jpg'
        modified = source.stat().st_mtime_ns
        known = self.records.get(name)
        if known is not None and known.modified == modified:
            return known
        return Record(name, str(source), frame, modified, file_name)

    def _name(self, source: Path) -> str:
        """Name of the results of a source, unlike those of any other."""
        if str(source) not in self._names:
            taken = set(self._names.values())
            self._names[str(source)] = next(
                name for name in _candidates(source) if name not in taken)
        return self._names[str(source)]

    @staticmethod
    def path(record: Record, product: str) -> Path:
        """Where a product of an image stands below the folder.

        ``coco-panoptic`` and ``coco-instance`` are the parts of the JSONs in
        `MERGED`; the PNG of the former stands beside it.
        """
        suffix = dict(semantic='png').get(
            product, 'json' if product in MERGED else 'jpg')
        name = product.removeprefix('coco-')
        return Path(name, f'{record.name}.{suffix}')

    def missing(self, record: Record, products: Sequence[str]) -> List[str]:
        """Those of ``products`` that an image does not have."""
        return [
            product for product in products if product not in record.products
            or not (self.folder / self.path(record, product)).is_file()
        ]

    def add(self, record: Record, files: Dict[Path, bytes],
            products: Sequence[str]) -> None:
        """Write files of an image and record that it has these products.

        Raises:
            OutputError: If a file cannot be written.
        """
        for path, content in files.items():
            self.write(path, content)
        record.products = sorted({*record.products, *products})
        self.write(f'records/{record.name}.json', to_json(asdict(record)))
        self.records[record.name] = record

    def write(self, path: Union[Path, str], content: bytes) -> None:
        """Write a file below the folder, complete or not at all.

        Raises:
            OutputError: If that fails.
        """
        with _complete(self.folder / path) as unfinished:
            unfinished.write_bytes(content)

    def merge(self, products: Sequence[str]) -> None:
        """Make the JSONs in `MERGED` of ``products`` from all images.

        The id of an image is its name where all names are numbers, as those
        of COCO's images are; else images are counted.

        Raises:
            OutputError: If one cannot be written.
        """
        names = sorted(self.records)
        ids = dict(zip(names, _image_ids(names)))
        for product in set(products) & set(MERGED):
            records = {
                ids[name]: self.records[name]
                for name in names
                if not self.missing(self.records[name], [product])
            }
            with _complete(self.folder / MERGED[product]) as unfinished:
                self._write_merged(unfinished, product, records)

    def _write_merged(self, path: Path, product: str,
                      records: Dict[int, Record]) -> None:
        """Write a JSON annotation by annotation, which may be many."""
        images = [
            dict(
                id=id_,
                file_name=record.file_name,
                height=record.height,
                width=record.width) for id_, record in records.items()
        ]
        number = 0
        with open(path, 'w') as file:
            file.write(f'{{"images": {json.dumps(images)},\n'
                       f'"categories": {json.dumps(self.categories)},\n'
                       '"annotations": [')
            for image_id, record in records.items():
                part = self.folder / self.path(record, product)
                for annotation in json.loads(part.read_text()):
                    file.write(',\n' if number else '\n')
                    number += 1
                    if product == 'coco-instance':
                        annotation['id'] = number
                    file.write(json.dumps(dict(annotation, image_id=image_id)))
            file.write('\n]}\n')

    def _check_settings(self, settings: dict) -> None:
        """Refuse a folder with results of other settings."""
        path = self.folder / 'settings.json'
        if not path.is_file():
            return
        known = json.loads(path.read_text())
        for name, value in json.loads(to_json(settings)).items():
            if known.get(name) != value:
                raise ValueError(
                    f'{self.folder} has results of another run: {name} was '
                    f'{known.get(name)} and is now {value}; choose another '
                    'folder, or delete this one')

    def _read_records(self) -> Dict[str, Record]:
        """All records, but for those that cannot be read."""
        records = {}
        folder = self.folder / 'records'
        for path in folder.rglob('*.json'):
            # a killed run leaves unfinished files in hidden folders
            if any(
                    part.startswith('.')
                    for part in path.relative_to(folder).parts[:-1]):
                continue
            try:
                record = Record(**json.loads(path.read_text()))
            except (TypeError, ValueError):
                continue
            records[record.name] = record
        return records


@contextmanager
def _complete(path: Path) -> Iterator[Path]:
    """`complete_or_absent` that raises an `OutputError`."""
    try:
        with complete_or_absent(path) as unfinished:
            yield unfinished
    except OSError as error:
        raise OutputError(
            f'{path} cannot be written: {error.strerror}') from error


def _candidates(source: Path) -> Iterator[str]:
    """Names for the results of a source, the best first."""
    name = source.stem
    yield name
    name = f'{source.parent.name}_{name}'
    yield name
    number = 2
    while True:
        yield f'{name}_{number}'
        number += 1


def _image_ids(names: Sequence[str]) -> List[int]:
    if all(name.isdecimal() for name in names):
        numbers = [int(name) for name in names]
        if len(set(numbers)) == len(numbers):
            return numbers
    return list(range(1, len(names) + 1))


def to_json(content) -> bytes:
    """Content of a JSON file."""
    return (json.dumps(content, indent=1, default=str) + '\n').encode()
