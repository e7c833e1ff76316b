"""What must fit before a run starts, so that it does not fail hours later."""
import zipfile
from pathlib import Path
from typing import Dict, Iterator, Optional, Sequence, Tuple

from mmdet.registry import METRICS
from mmengine.config import Config
from mmengine.runner import Runner

from ..checkpoints.files import read_pickle
from ..tasks import TASKS, check_tasks
from .config import dataset_class, dataset_settings


def evaluators(cfg: Config, split: str) -> list:
    """The settings of the evaluators of a split, 'val' or 'test'."""
    given = cfg.get(f'{split}_evaluator') or []
    return list(given) if isinstance(given, (list, tuple)) else [given]


def metric_class(evaluator: dict) -> Optional[type]:
    """The class that the settings of an evaluator name; None if unknown."""
    kind = evaluator['type']
    return METRICS.get(kind) if isinstance(kind, str) else kind


def task_of_evaluator(evaluator: dict) -> Optional[str]:
    """The task that an evaluator measures; None if it is none of ours."""
    return getattr(metric_class(evaluator), 'task', None)


def check_evaluators(cfg: Config, split: str) -> None:
    """Check that the evaluators of a split can be served.

    Args:
        cfg: The config.
        split: 'val' or 'test'.

    Raises:
        ValueError: If an evaluator measures a task that the model is not
            asked, or one that the annotation of its data set cannot answer,
            or if two of them report under the same names.
    """
    asked = check_tasks((cfg.model.get('test_cfg') or {}).get('tasks', TASKS))
    seen = set()
    for evaluator in evaluators(cfg, split):
        task = task_of_evaluator(evaluator)
        if task is None:
            continue
        where = f'{cfg.filename}: {evaluator.type} of {split}_evaluator'
        if task not in asked:
            raise ValueError(
                f'{where} measures the {task} task, which model.test_cfg.tasks'
                f' ({", ".join(asked)}) does not ask of the model')
        key = (evaluator.type, evaluator.get('prefix'))
        if key in seen:
            raise ValueError(
                f'{where} is there twice with the prefix {key[1]!r}: give one '
                'of them another, so that their results differ in name')
        seen.add(key)
        _check_annotation(cfg, split, evaluator, task, where)


def _check_annotation(cfg: Config, split: str, evaluator: dict, task: str,
                      where: str) -> None:
    """Check that the data sets of a split annotate what a metric reads."""
    if evaluator.get('ann_file'):
        return  # the metric has its own annotation
    for _, dataset in dataset_settings(cfg, (split, )):
        answered = getattr(dataset_class(dataset), 'tasks', None)
        if answered is None:
            continue
        name = f'the annotation of {dataset.type} in {split}_dataloader'
        if task not in answered:
            raise ValueError(
                f'{where} measures the {task} task, which {name} cannot '
                f'answer: it answers {", ".join(answered)}')
        if task == 'instance' and 'panoptic' not in answered:
            raise ValueError(
                f'{where} takes instances from a panoptic annotation, and '
                f'{name} is none: give the metric its ann_file')


def check_training_tasks(cfg: Config) -> None:
    """Check that what the model is asked is taught.

    A run that starts from a whole model (``load_from``) may have learnt a
    task before.

    Raises:
        ValueError: If no training annotation can answer an asked task.
    """
    kinds = [dataset for _, dataset in dataset_settings(cfg, ('train', ))]
    taught = [getattr(dataset_class(kind), 'tasks', None) for kind in kinds]
    if not kinds or None in taught or cfg.get('load_from'):
        return
    taught = {task for tasks in taught for task in tasks}
    asked = check_tasks((cfg.model.get('test_cfg') or {}).get('tasks', TASKS))
    untaught = [task for task in asked if task not in taught]
    if untaught:
        names = ', '.join(sorted({kind.type for kind in kinds}))
        raise ValueError(
            f'{cfg.filename}: model.test_cfg.tasks asks for the '
            f'{untaught[0]} task, which no annotation in train_dataloader '
            f'({names}) can teach: name there only {", ".join(sorted(taught))}'
        )


def check_checkpoint_file(path: str) -> None:
    """Check that a checkpoint, if it is a path, is there as a whole.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If it is cut short or no checkpoint.
    """
    # The index of a zip file is its end. Those of old versions are none.
    if '://' not in path and not zipfile.is_zipfile(path):
        read_pickle(path)


def check_initial_weights(cfg: Config) -> None:
    """Check the files that training starts from.

    Raises:
        FileNotFoundError, CheckpointError: See `check_checkpoint_file`;
            of ``load_from`` and of all ``init_cfg`` in the model.
    """
    weights = [('load_from', cfg.get('load_from'))]
    weights += _pretrained(cfg.model, 'model')
    for where, path in weights:
        if path and '://' not in path and not Path(path).is_file():
            raise FileNotFoundError(f'{cfg.filename}: the initial weights '
                                    f'{path} of {where} do not exist')
        if path:
            check_checkpoint_file(path)


def _pretrained(settings, where: str) -> Iterator[Tuple[str, str]]:
    """Checkpoints of ``init_cfg`` inside a model, and where they stand."""
    if isinstance(settings, (list, tuple)):
        for index, entry in enumerate(settings):
            yield from _pretrained(entry, f'{where}[{index}]')
    if isinstance(settings, dict):
        if settings.get('type') == 'Pretrained':
            yield where, settings.get('checkpoint')
        for key, entry in settings.items():
            yield from _pretrained(entry, f'{where}.{key}')


def build_data(runner: Runner, splits: Sequence[str]) -> None:
    """Build the loops of a runner, and with them data sets and metrics.

    They then read their annotations and check what they find.

    Args:
        runner: One that has not run yet.
        splits: Of 'train', 'val' and 'test'.

    Raises:
        OSError: If a file or folder of a data set is missing.
        ImportError: If a metric needs a package that is missing.
        ValueError: If a data set, or what a metric reads, does not fit.
    """
    metainfos = {}
    for split in splits:
        loop = getattr(runner, f'{split}_loop')
        if loop is not None:
            metainfos[f'{split}_dataloader'] = getattr(loop.dataloader.dataset,
                                                       'metainfo', {})
    check_same_classes(runner.cfg, metainfos)


def check_same_classes(cfg: Config, metainfos: Dict[str, dict]) -> None:
    """Check that built data sets have the classes of the model.

    Args:
        cfg: The config, with class counts.
        metainfos: Name of each dataloader to the meta information of its data
            set; one without ``thing_classes`` is not of this project and left
            alone.

    Raises:
        ValueError: If they have other classes than the model or each other.
    """
    counts = cfg.model.num_things_classes, cfg.model.num_stuff_classes
    first = None
    for name, meta in metainfos.items():
        if 'thing_classes' not in meta:
            continue
        found = len(meta['thing_classes']), len(meta['stuff_classes'])
        if found != counts:
            raise ValueError(
                f'{cfg.filename}: the model has {counts[0]} thing and '
                f'{counts[1]} stuff classes, the data set of {name} '
                f'{found[0]} and {found[1]}')
        first = first or (name, meta['classes'])
        other = [
            pair for pair in zip(first[1], meta['classes'])
            if pair[0] != pair[1]
        ]
        if other:
            raise ValueError(
                f'{cfg.filename}: the data sets differ in {len(other)} '
                f'classes: label {first[1].index(other[0][0])} is '
                f'{other[0][0]!r} in {first[0]}, {other[0][1]!r} in {name}')
