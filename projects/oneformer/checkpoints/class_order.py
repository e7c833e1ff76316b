"""The order of classes: here things come first, elsewhere they may not."""
import os
from functools import lru_cache
from typing import List, NamedTuple, Optional, Sequence, Tuple

from mmengine.config import Config

from ..apis.config import (annotation_files, annotation_metainfo,
                           named_categories)
from ..datasets.categories import CATEGORIES
from ..datasets.metainfo import panoptic_metainfo
from .structure import CheckpointError

#: The data sets of published checkpoints, whose classes stand in this order.
PUBLISHED = {
    'COCO': CATEGORIES['coco'],
    'ADE20K': CATEGORIES['ade20k'],
    'Cityscapes': CATEGORIES['cityscapes'],
    'Mapillary Vistas': CATEGORIES['mapillary'],
}


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

    It comes from the first of: ``things``; ``dataset_meta``; the categories
    that a data set of the config names; its annotation, if it is there; the
    published data set of the same number of classes (and of things, where the
    config gives it).

    Args:
        cfg (Config): Of the model.
        num_classes (int): Classes of the checkpoint.
        things (list[int], optional): Which of its classes are things.
        names (list[str], optional): Their names, where the checkpoint knows
            them. When they are those of the data set, they decide.
        dataset_meta (dict, optional): What a checkpoint of this project
            knows of its data set.

    Raises:
        CheckpointError: If it cannot be told, or does not fit.
    """
    if things is not None:
        return _given(things, num_classes, names)
    meta, origin = dataset_meta or {}, 'the checkpoint'
    if 'class_order' not in meta:
        meta, origin = _configured(cfg)
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
    for name, categories in PUBLISHED.items():
        meta = panoptic_metainfo(categories, name)
        if len(categories) == num_classes and num_things in (
                None, len(meta['thing_classes'])):
            names = names or [category['name'] for category in categories]
            return ClassOrder(meta['class_order'], len(meta['thing_classes']),
                              tuple(names),
                              f'{name}, by its {num_classes} classes')
    raise CheckpointError(
        f'which of the {num_classes} classes of the checkpoint are things is '
        'unknown: name their indices with --things, or let a data set of the '
        'config name its categories or panoptic annotation (ann_file)')


def _configured(cfg: Config) -> Tuple[dict, str]:
    """Meta information of the categories that the config names, or {}.

    Without those, of the smallest annotation file there is.
    """
    named = named_categories(cfg)
    if named is not None:
        return named
    files = [path for path in annotation_files(cfg) if os.path.isfile(path)]
    if not files:
        return {}, ''
    path = min(files, key=os.path.getsize)
    return _read_annotation(path), path


@lru_cache(maxsize=1)
def _read_annotation(path: str) -> dict:
    return annotation_metainfo(path)
