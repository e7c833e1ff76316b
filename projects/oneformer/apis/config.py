"""Loading of configs, and completion from the annotations they name."""
from pathlib import Path
from typing import Iterator, Optional, Tuple, Union

from mmengine.config import Config
from mmengine.fileio import exists, join_path
from mmengine.utils import is_abs

from ..datasets import load_panoptic_json, panoptic_metainfo


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
        ValueError: As `complete_config`.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'config {path} does not exist')
    cfg = Config.fromfile(path)
    cfg.merge_from_dict(options or {})
    if work_dir is not None or cfg.get('work_dir') is None:
        cfg.work_dir = work_dir or str(Path('work_dirs') / Path(path).stem)
    return complete_config(cfg)


def complete_config(cfg: Config) -> Config:
    """Fill in the class counts of the model from the annotations.

    ``cfg.model.num_things_classes`` and ``num_stuff_classes``, where absent
    or None, become those of the COCO panoptic JSON that the training data set
    names; of the validation or test data where there is none, in the config
    or on disk. Counts that the config gives are checked against it.

    Returns:
        Config: ``cfg`` itself.

    Raises:
        FileNotFoundError: If counts are missing and so is the file.
        ValueError: If counts are missing and no data set names a file, if the
            file is no panoptic annotation (its categories lack ``isthing``,
            say), or if the config gives other counts than the file has.
    """
    names = ('num_things_classes', 'num_stuff_classes')
    missing = [name for name in names if cfg.model.get(name) is None]
    files = list(annotation_files(cfg))
    path = next((path for path in files if exists(path)), None)
    if path is None:
        if missing and files:
            raise FileNotFoundError(
                f'annotation file {files[0]} does not exist; the model takes '
                f'{" and ".join(missing)} from it unless the config gives '
                'them')
        if missing:
            raise ValueError(
                f'model.{missing[0]} is not given and no data set of the '
                'config names an ann_file to take it from')
        return cfg
    for name, found in zip(names, count_classes(path)):
        if cfg.model.get(name) is None:
            cfg.model[name] = found
        elif cfg.model[name] != found:
            raise ValueError(f'model.{name}={cfg.model[name]}, but {path} has '
                             f'{found}: correct the number or leave it out')
    return cfg


def count_classes(ann_file: str) -> Tuple[int, int]:
    """The numbers of thing and stuff categories of a COCO panoptic JSON.

    Raises:
        ValueError: If it is no such JSON or a category lacks something.
    """
    categories = load_panoptic_json(ann_file)['categories']
    metainfo = panoptic_metainfo(categories, ann_file)
    return len(metainfo['thing_classes']), len(metainfo['stuff_classes'])


def annotation_files(cfg: Config) -> Iterator[str]:
    """Paths of the annotations: training, validation, test."""
    for split in ('train', 'val', 'test'):
        loader = cfg.get(f'{split}_dataloader')
        if loader:
            yield from _files_of_dataset(loader.dataset)


def _files_of_dataset(dataset: dict) -> Iterator[str]:
    """Paths of the annotations of a data set, inside any wrappers."""
    inner = dataset.get('datasets', [])
    if 'dataset' in dataset:
        inner = [dataset['dataset']]
    for wrapped in inner:
        yield from _files_of_dataset(wrapped)
    ann_file = dataset.get('ann_file')
    if ann_file:
        root = dataset.get('data_root')
        yield ann_file if is_abs(ann_file) or not root else join_path(
            root, ann_file)
