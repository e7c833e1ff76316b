"""The order of classes: here things come first, elsewhere they may not."""
import contextlib
import importlib
import io
import os
from functools import lru_cache
from typing import List, NamedTuple, Optional, Sequence, Tuple

from mmengine.config import Config

from ..apis.config import annotation_files
from ..datasets import load_panoptic_json, panoptic_metainfo
from .structure import CheckpointError


class PublishedClasses(NamedTuple):
    """A data set that published checkpoints were trained on.

    ``things`` are indices in its own order; ``dataset`` is the module and
    class whose ``METAINFO`` names its classes in that order.
    """
    name: str
    num_classes: int
    things: Tuple[int, ...]
    dataset: Tuple[str, str]

    def names(self) -> Tuple[str, ...]:
        """The names of the classes in the order of the data set."""
        with contextlib.redirect_stdout(io.StringIO()):
            module = importlib.import_module(self.dataset[0])
        metainfo = getattr(module, self.dataset[1]).METAINFO
        names = metainfo['classes'][:self.num_classes]
        return tuple(name.strip() for name in names)


def _ranges(text: str) -> Tuple[int, ...]:
    """``'1 4-6'`` as 1, 4, 5, 6."""
    numbers: List[int] = []
    for part in text.split():
        first, _, last = part.partition('-')
        numbers += range(int(first), int(last or first) + 1)
    return tuple(numbers)


PUBLISHED = (
    PublishedClasses('COCO', 133, _ranges('0-79'),
                     ('mmdet.datasets', 'CocoPanopticDataset')),
    PublishedClasses(
        'ADE20K', 150,
        _ranges('7-8 10 12 14-15 18-20 22-24 27 30-33 35-39 41-45 47 49-50 53 '
                '55-58 62 64-67 69-76 78 80-83 85-90 92-93 95 97-98 102-104 '
                '107-108 110-112 115-116 118-121 123-127 129-130 '
                '132-139 142-144 146-149'),
        ('mmseg.datasets', 'ADE20KDataset')),
    PublishedClasses('Cityscapes', 19, _ranges('11-18'),
                     ('mmseg.datasets', 'CityscapesDataset')),
    PublishedClasses('Mapillary Vistas', 65,
                     _ranges('0-1 8 19-23 32-42 44-57 59-62'),
                     ('mmseg.datasets', 'MapillaryDataset_v1')),
)


class ClassOrder(NamedTuple):
    """Where the classes of a source stand here.

    ``labels[j]`` is the label of the source's class j, ``names[j]`` its name.
    ``origin`` says where this comes from.
    """
    labels: Tuple[int, ...]
    num_things: int
    names: Tuple[str, ...]
    origin: str

    @property
    def indices(self) -> List[int]:
        """The source's class of each label."""
        places = {label: index for index, label in enumerate(self.labels)}
        return [places[label] for label in range(len(self.labels))]

    @property
    def dataset_meta(self) -> dict:
        """What a checkpoint keeps of it; see `PanopticDataset`."""
        classes = tuple(self.names[i] for i in self.indices)
        return dict(
            classes=classes,
            thing_classes=classes[:self.num_things],
            stuff_classes=classes[self.num_things:],
            class_order=self.labels)


def things_first(things: Sequence[int], num_classes: int) -> Tuple[int, ...]:
    """The labels of classes of which those at ``things`` are things."""
    stuff = [i for i in range(num_classes) if i not in set(things)]
    order = sorted(things) + stuff
    return tuple(order.index(i) for i in range(num_classes))


def find_class_order(cfg: Config,
                     num_classes: int,
                     things: Optional[Sequence[int]] = None,
                     names: Optional[Sequence[str]] = None,
                     dataset_meta: Optional[dict] = None) -> ClassOrder:
    """The order of the classes of a checkpoint outside of this project.

    It comes from the first of: ``things``; ``dataset_meta``; the panoptic
    annotation that the config names, if it is there; the published data set
    of the same number of classes (and of things, where the config gives it).

    Args:
        cfg (Config): Of the model.
        num_classes (int): Classes of the checkpoint.
        things (list[int], optional): Which of its classes are things.
        names (list[str], optional): Their names, where the checkpoint knows
            them. When they are those of the annotation, they decide.
        dataset_meta (dict, optional): What a checkpoint of this project
            knows of its data set.

    Raises:
        CheckpointError: If it cannot be told, or does not fit.
    """
    if things is not None:
        return _given(things, num_classes, names)
    meta, origin = dataset_meta or {}, 'the checkpoint'
    if 'class_order' not in meta:
        meta, origin = _annotation(cfg)
    if meta:
        labels = tuple(meta['class_order'])
        found = tuple(meta['classes'][label] for label in labels)
        if names and sorted(names) == sorted(found):
            labels = tuple(meta['classes'].index(name) for name in names)
            found = tuple(names)
        return ClassOrder(labels, len(meta['thing_classes']), found, origin)
    return _published(num_classes, cfg.model.get('num_things_classes'), names)


def _given(things: Sequence[int], num_classes: int,
           names: Optional[Sequence[str]]) -> ClassOrder:
    wrong = [i for i in things if not 0 <= i < num_classes]
    if wrong or len(set(things)) < len(things):
        raise CheckpointError(
            f'--things {" ".join(map(str, things))} must be different indices '
            f'of the {num_classes} classes of the checkpoint, from 0')
    names = names or [f'class {i}' for i in range(num_classes)]
    return ClassOrder(
        things_first(things, num_classes), len(things), tuple(names),
        '--things')


def _published(num_classes: int, num_things: Optional[int],
               names: Optional[Sequence[str]]) -> ClassOrder:
    for published in PUBLISHED:
        if published.num_classes == num_classes and num_things in (
                None, len(published.things)):
            return ClassOrder(
                things_first(published.things, num_classes),
                len(published.things), tuple(names or published.names()),
                f'{published.name}, by its {num_classes} classes')
    raise CheckpointError(
        f'which of the {num_classes} classes of the checkpoint are things is '
        'unknown: name their indices with --things, or let a data set of the '
        'config name the panoptic annotation (ann_file)')


def _annotation(cfg: Config) -> Tuple[dict, str]:
    """Meta information of the smallest annotation file there is, or {}."""
    files = [path for path in annotation_files(cfg) if os.path.isfile(path)]
    if not files:
        return {}, ''
    path = min(files, key=os.path.getsize)
    return _read_annotation(path), path


@lru_cache(maxsize=1)
def _read_annotation(path: str) -> dict:
    return panoptic_metainfo(load_panoptic_json(path)['categories'], path)
