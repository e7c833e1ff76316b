"""Splits whose panoptic annotation is made from that of another format."""
import json
from abc import abstractmethod
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import numpy as np
from panoptic import check_categories
from preparation import Split

from projects.oneformer.datasets import read_id_map
from projects.oneformer.engine.atomic_backend import AtomicBackend
from projects.oneformer.evaluation.ground_truth import joint_runs


class PanopticMaker(Split):
    """A split that gets a panoptic JSON, and perhaps another, besides PNGs.

    The JSONs are written when every image is converted. Until then a journal
    beside the panoptic JSON keeps the entry of each finished image, one per
    line, so that a run that was stopped goes on where it was. PNGs that are
    there without a line in the journal are compared with what is made, and
    replaced if they differ: whoever made them chose other ids, perhaps.

    The entry of an image has its ``image`` and ``annotation`` in the panoptic
    JSON. ``find`` notes images without annotation by `note_unpaired`.
    """
    #: Those of the panoptic JSON.
    categories: Sequence[dict]
    #: Entries of finished images by item name; None when nothing is to do.
    entries: Optional[Dict[str, Any]] = None
    #: Whether every image has its annotation.
    is_paired = True

    @property
    @abstractmethod
    def panoptic_json(self) -> Path:
        """The JSON."""

    @abstractmethod
    def file_name(self, item: Any) -> str:
        """Path of an image below the folder of images."""

    def contents(self, entries: List[Any]) -> Dict[Path, dict]:
        """The JSON files and what stands in them.

        Args:
            entries: Of all images, in order.
        """
        return {
            self.panoptic_json:
            dict(
                images=[entry['image'] for entry in entries],
                annotations=[entry['annotation'] for entry in entries],
                categories=list(self.categories))
        }

    def note_unpaired(self, images: Sequence[str], annotations: Sequence[str],
                      folder: Path) -> None:
        """Note images without an annotation in a folder, and the reverse."""
        self.note(f'images without annotation in {folder}',
                  sorted(set(images) - set(annotations)))
        self.note(f'annotations without image in {folder}',
                  sorted(set(annotations) - set(images)))
        self.is_paired &= set(images) <= set(annotations)

    def unfinished(self, items: List[Any]) -> List[Any]:
        """The items that lack a PNG, or an entry if JSONs must be written."""
        todo = super().unfinished(items)
        if not todo and not self._journal.exists() and self._is_written(items):
            return []
        self.entries = _read_journal(self._journal)
        remade = {item.name for item in todo}
        return [
            item for item in items
            if item.name in remade or item.name not in self.entries
        ]

    def keep(self, item: Any, entry: Any) -> None:
        """Write the entry of an item, whose PNGs are written, down."""
        self.entries[item.name] = entry
        with open(self._journal, 'a') as file:
            file.write(json.dumps([item.name, entry]) + '\n')

    def finish(self, items: List[Any]) -> None:
        """Write the JSONs, if all images are finished."""
        if self.entries is None:
            return
        complete = all(item.name in self.entries for item in items)
        paths = self.contents([])
        if not complete or not self.is_paired:
            self.note(
                'JSONs not written until the other problems are '
                'solved', list(map(str, paths)))
            return
        entries = [self.entries[item.name] for item in items]
        for path, content in self.contents(entries).items():
            AtomicBackend().put_text(json.dumps(content), path)
        self._journal.unlink()

    def check_map(self, path: Path, made: np.ndarray, entry: Any) -> bool:
        """Compare a map with a PNG; segments may have other ids there.

        The ids of the entry become those of the PNG, None for a segment that
        has no pixel.
        """
        if made.dtype != np.int32:
            return super().check_map(path, made, entry)
        stored_id = _match_ids(made, read_id_map(str(path)))
        if stored_id is None:
            return False
        for segment in entry['annotation']['segments_info']:
            segment['id'] = stored_id.get(segment['id'])
        return True

    def check_all(self, entries: Dict[str, Any]) -> None:
        """Compare the JSONs with what they would hold."""
        for path, content in self.contents(list(entries.values())).items():
            stored = _read_json(path)
            if stored is None:
                self.note('JSONs missing or corrupt', [str(path)])
                continue
            self.note(
                f'images that {path} shows otherwise than their annotation',
                _differences(content, stored))
            if path == self.panoptic_json:
                self._check_categories(stored)

    def _check_categories(self, stored: dict) -> None:
        try:
            check_categories(
                stored.get('categories', ()), self.categories,
                self.panoptic_json)
        except ValueError as error:
            self.note('JSONs with other categories', [str(error)])

    @property
    def _journal(self) -> Path:
        return self.panoptic_json.with_suffix('.journal')

    def _is_written(self, items: List[Any]) -> bool:
        """Whether all JSONs are there, for these images."""
        names = [self.file_name(item) for item in items]
        stored = map(_read_json, self.contents([]))
        return all(
            content is not None and names ==
            [image.get('file_name') for image in content.get('images', ())]
            for content in stored)


def _read_journal(path: Path) -> Dict[str, Any]:
    """The entries of a journal, which is there afterwards, at a line's end.

    The last line of a run that was killed may have been cut short.
    """
    with open(path, 'a+b') as file:
        file.seek(0)
        lines = file.read()
        size = lines.rfind(b'\n') + 1
        file.truncate(size)
    return dict(map(json.loads, lines[:size].splitlines()))


def _read_json(path: Path) -> Optional[dict]:
    """What a JSON holds; None if it is missing, cut short or no dict."""
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _match_ids(made: np.ndarray,
               stored: np.ndarray) -> Optional[Dict[int, int]]:
    """Id here -> id there, if two id maps show the same segments."""
    if made.shape != stored.shape:
        return None
    ours, theirs, _ = joint_runs(made, stored)
    pairs = set(zip(ours.tolist(), theirs.tolist()))
    stored_id = dict(pairs)
    if (len(pairs) > len(stored_id)
            or len(pairs) > len(set(stored_id.values())) or any(
                (one == 0) != (other == 0) for one, other in pairs)):
        return None
    return stored_id


def _differences(made: dict, stored: dict) -> List[str]:
    """Ids of the images that two JSONs do not show alike."""
    made, stored = _by_image(made), _by_image(stored)
    return [
        str(image_id) for image_id in {
            **made,
            **stored
        } if not _agree(made.get(image_id), stored.get(image_id))
    ]


def _by_image(content: dict) -> Dict[Any, list]:
    """Image id -> the image and its annotations."""
    by_image = {
        image.get('id'): [image]
        for image in content.get('images', ())
    }
    for annotation in content.get('annotations', ()):
        by_image.setdefault(annotation.get('image_id'), []).append(annotation)
    return by_image


def _agree(made: Any, stored: Any) -> bool:
    """Whether all that was made is stored; the id None is like any other."""
    if isinstance(made, dict):
        return isinstance(stored, dict) and all(
            key in stored and (_agree(value, stored[key]) or
                               (key == 'id' and value is None))
            for key, value in made.items())
    if isinstance(made, list):
        return isinstance(stored, list) and len(made) == len(stored) and all(
            map(_agree, made, stored))
    return made == stored
