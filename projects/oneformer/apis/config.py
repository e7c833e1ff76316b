"""Loading of configs, and completion from the data sets they name."""
from pathlib import Path
from typing import Iterator, Optional, Sequence, Tuple, Union

from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.fileio import exists, join_path
from mmengine.utils import is_abs

from ..datasets.coco_json import is_instance_json, load_coco_json
from ..datasets.metainfo import complete_categories, panoptic_metainfo


def load_config(path: Union[str, Path],
                options: Optional[dict] = None,
                work_dir: Optional[str] = None) -> Config:
    """A config file as a runner takes it.

    Args:
        path: The config file.
        options: Settings that override the file's, under dotted names.
        work_dir: Where the run writes; by default what the config says, else
            ``work_dirs/`` and the name of the config.

    Raises:
        FileNotFoundError: If there is no such config or annotation file.
        ValueError: As `merge_options` and `complete_config`.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'config {path} does not exist')
    cfg = Config.fromfile(path)
    merge_options(cfg, options)
    if work_dir is not None or cfg.get('work_dir') is None:
        cfg.work_dir = work_dir or str(Path('work_dirs') / Path(path).stem)
    return complete_config(cfg)


def merge_options(cfg: Config, options: Optional[dict]) -> None:
    """Override settings of a config, in place.

    Args:
        cfg: The config.
        options: Values under dotted names, in which numbers count the entries
            of lists.

    Raises:
        ValueError: If an option leads into something that is no dict, or
            past the end of a list.
    """
    options = options or {}
    try:
        cfg.merge_from_dict(options)
    except (KeyError, TypeError) as error:
        given = ', '.join(f'{name}={value}' for name, value in options.items())
        raise ValueError(f'the config has no place for the options {given}: '
                         f'{error.args[0]}') from error


def complete_config(cfg: Config) -> Config:
    """Fill in the class counts of the model from its data sets.

    ``cfg.model.num_things_classes`` and ``num_stuff_classes``, where absent
    or None, become those of the ``categories`` that a data set names, for
    which nothing need be on disk; else those of an annotation file. Training
    data come first; then validation and test data, where there is nothing in
    the config or on disk. Counts that the config gives are checked.

    Returns:
        Config: ``cfg`` itself.

    Raises:
        FileNotFoundError: If counts are missing and so is the file.
        ValueError: If counts are missing and no data set names categories or
            a file, if these are no categories (they lack ``isthing``, say),
            or if the config gives other counts than they have.
    """
    names = ('num_things_classes', 'num_stuff_classes')
    missing = [name for name in names if cfg.model.get(name) is None]
    known = named_categories(cfg) or _existing_annotation(cfg)
    if known is None:
        _refuse_missing(missing, cfg)
        return cfg
    meta, origin = known
    found = len(meta['thing_classes']), len(meta['stuff_classes'])
    for name, number in zip(names, found):
        if cfg.model.get(name) is None:
            cfg.model[name] = number
        elif cfg.model[name] != number:
            raise ValueError(
                f'model.{name}={cfg.model[name]}, but {origin} has {number}: '
                'correct the number or leave it out')
    return cfg


def _refuse_missing(missing: list, cfg: Config) -> None:
    """Raise an error if counts are missing that nothing can give."""
    files = list(annotation_files(cfg))
    if missing and files:
        raise FileNotFoundError(
            f'annotation file {files[0]} does not exist; the model takes '
            f'{" and ".join(missing)} from it unless the config gives them')
    if missing:
        raise ValueError(
            f'model.{missing[0]} is not given and no data set of the config '
            'names categories or an ann_file to take it from')


def named_categories(cfg: Config) -> Optional[Tuple[dict, str]]:
    """Meta information of the ``categories`` that a data set names.

    Returns:
        tuple, optional: See `panoptic_metainfo`; and where it comes from.
        None if no data set names any.

    Raises:
        FileNotFoundError, ValueError: See `find_categories`.
    """
    for name, dataset in dataset_settings(cfg, wrappers=True):
        spec = dataset.get('categories')
        if spec is not None:
            origin = f'{name}.dataset.categories'
            if isinstance(spec, str):
                origin = f'{origin}={spec!r}'
            isthing = getattr(dataset_class(dataset), 'default_isthing', None)
            categories = complete_categories(spec, name, isthing)
            return panoptic_metainfo(categories, origin), origin
    return None


def _existing_annotation(cfg: Config) -> Optional[Tuple[dict, str]]:
    """Meta information and path of the first annotation file there is."""
    for path in annotation_files(cfg):
        if exists(path):
            return annotation_metainfo(path), path
    return None


def annotation_metainfo(ann_file: str) -> dict:
    """Meta information of a COCO panoptic or instance JSON.

    The categories of an instance JSON are all things.

    Raises:
        ValueError: If it is no such JSON or a category lacks something.
    """
    content = load_coco_json(ann_file)
    isthing = 1 if is_instance_json(content) else None
    categories = complete_categories(content['categories'], ann_file, isthing)
    return panoptic_metainfo(categories, ann_file)


def annotation_files(cfg: Config) -> Iterator[str]:
    """Paths of the COCO JSONs: training, validation, test."""
    for _, dataset in dataset_settings(cfg):
        ann_file, root = dataset.get('ann_file'), dataset.get('data_root')
        # That of a semantic data set is a list of images.
        tasks = getattr(dataset_class(dataset), 'tasks', None)
        if ann_file and tasks != ('semantic', ):
            yield ann_file if is_abs(ann_file) or not root else join_path(
                root, ann_file)


def dataset_settings(cfg: Config,
                     splits: Sequence[str] = ('train', 'val', 'test'),
                     wrappers: bool = False) -> Iterator[Tuple[str, dict]]:
    """The settings of each data set.

    Args:
        cfg: The config.
        splits: Of which dataloaders.
        wrappers: Whether data sets that wrap others count too.

    Returns:
        Name of the dataloader (``train_dataloader``) and the settings.
    """
    for name in (f'{split}_dataloader' for split in splits):
        loader = cfg.get(name)
        if loader:
            for dataset in _with_inner(loader.dataset):
                if wrappers or not {'dataset', 'datasets'} & set(dataset):
                    yield name, dataset


def _with_inner(dataset: dict) -> Iterator[dict]:
    """The settings of a data set, and of those that it wraps."""
    yield dataset
    inner = dataset.get('datasets', [])
    if 'dataset' in dataset:
        inner = [dataset['dataset']]
    for wrapped in inner:
        yield from _with_inner(wrapped)


def dataset_class(dataset: dict) -> Optional[type]:
    """The class that the settings of a data set name; None if unknown."""
    kind = dataset.get('type')
    return DATASETS.get(kind) if isinstance(kind, str) else kind
