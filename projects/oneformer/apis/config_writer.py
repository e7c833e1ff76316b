"""The text of a config for a data set of one's own."""
import os
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

from mmdet.registry import DATASETS
from mmengine.config import Config
from yapf.yapflib.yapf_api import FormatCode

from ..checkpoints.files import read_pickle
from ..datasets.survey import Survey
from ..tasks import TASKS

ROOT = Path(__file__).resolve().parents[3]
BASES = ROOT / 'configs/_base_'
#: The base config of each data set.
DATA_CONFIGS = dict(
    PanopticDataset='coco_panoptic_json',
    InstanceDataset='coco_instance_json',
    SemanticDataset='semantic_maps')
#: Pixels; crops of the base configs, and the largest unless told.
DEFAULT_CROP = 512
#: Times that training sees each image, without and with `load_from`.
EPOCHS = {False: 50, True: 20}

_PIPELINES = '''
short_edge = {crop}
long_edge = 4 * short_edge
train_pipeline = [
    *_base_.train_pipeline[:2],
    dict(
        type='RandomChoiceResize',
        scales=[(long_edge, short_edge * i // 10) for i in range(5, 21)],
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=(short_edge, short_edge)),
    *_base_.train_pipeline[4:],
]
test_pipeline = [
    _base_.test_pipeline[0],
    dict(type='Resize', scale=(long_edge, short_edge), keep_ratio=True),
    _base_.test_pipeline[-1],
]
'''


class Training(NamedTuple):
    """How to train; what is None follows from the data.

    Attributes:
        model: Name of a file in ``configs/_base_/models`` without
            ``oneformer_``.
        load_from: Checkpoint of other classes to start from.
        batch_size: Images per GPU.
        iterations: Number of steps.
        crop_size: Pixels.
    """
    model: str = 'r50'
    load_from: Optional[str] = None
    batch_size: int = 4
    iterations: Optional[int] = None
    crop_size: Optional[int] = None


class Code(str):
    """A text that stands in a config as it is."""


def model_names() -> List[str]:
    """The models that there are base configs for."""
    files = (BASES / 'models').glob('oneformer_*.py')
    return sorted(path.stem.removeprefix('oneformer_') for path in files)


def config_text(splits: Dict[str, dict], found: Survey, training: Training,
                folder: str) -> str:
    """The text of a config.

    Args:
        splits: Settings of the data sets 'train' and, if there is one, 'val',
            without a pipeline.
        found: What there is to train on.
        training: How.
        folder: Where the config will be.
    """
    crop = training.crop_size or min(DEFAULT_CROP,
                                     max(64, found.short_edge // 32 * 32))
    iterations = training.iterations or _iterations(found, training)
    things, stuff = (
        len(found.metainfo[f'{kind}_classes']) for kind in ('thing', 'stuff'))
    train = splits['train']
    bases = _base_files(training.model, train['type'], folder)
    parts = [
        f'# {found.num_images} images, {things} thing and {stuff} stuff '
        'classes.\n# Written by tools/write_config.py.',
        f'_base_ = {_code(bases)}', ''
    ]
    if 'categories' in train:
        parts += [f'categories = {_code(train["categories"])}', '']
    if crop != DEFAULT_CROP:
        parts.append(_PIPELINES.format(crop=crop))
    parts.append(f'model = {_code(_model(training, train, things, stuff))}')
    parts += _data(splits, training.batch_size, crop != DEFAULT_CROP)
    parts += _schedule(iterations, training.load_from)
    text, _ = FormatCode(
        '\n'.join(parts) + '\n', style_config=str(ROOT / 'setup.cfg'))
    return text


def _base_files(model: str, dataset_type: str, folder: str) -> List[str]:
    names = (f'models/oneformer_{model}',
             f'datasets/{DATA_CONFIGS[dataset_type]}',
             'schedules/schedule_20k', 'default_runtime')
    base = os.path.relpath(BASES, folder)
    return [f'{base}/{name}.py' for name in names]


def _iterations(found: Survey, training: Training) -> int:
    """Some epochs, of a size that is worth a run, rounded."""
    epochs = EPOCHS[training.load_from is not None]
    iterations = epochs * found.num_images // training.batch_size
    return round(min(max(iterations, 1000), 90000), -3)


def _model(training: Training, train: dict, things: int, stuff: int) -> dict:
    """What the model is told besides its base config."""
    model = dict(num_things_classes=things, num_stuff_classes=stuff)
    if training.load_from is not None:
        model['backbone'] = dict(init_cfg=None)
        queries = _count_queries(training.load_from)
        base = BASES / f'models/oneformer_{training.model}.py'
        if queries not in (
                None, Config.fromfile(base).model.panoptic_head.num_queries):
            model['panoptic_head'] = dict(num_queries=queries)
    tasks = DATASETS.get(train['type']).tasks
    if tasks != TASKS:
        model['test_cfg'] = dict(tasks=tasks)
    return model


def _count_queries(checkpoint: str) -> Optional[int]:
    """The number of queries of a OneFormer; None if it is to be downloaded.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint of this project.
    """
    if '://' in checkpoint:
        return None
    content = read_pickle(checkpoint)
    state = content.get('state_dict', content)
    if 'panoptic_head.query_embed.weight' not in state:
        raise ValueError(
            f'{checkpoint} has no panoptic_head.query_embed.weight: it is no '
            'OneFormer of this project; docs/published_weights.md says how to '
            'convert published ones')
    return len(state['panoptic_head.query_embed.weight'])


def _data(splits: Dict[str, dict], batch_size: int,
          own_pipelines: bool) -> List[str]:
    """The lines from the dataloaders to the evaluators."""
    lines = [f'\ndata_root = {splits["train"]["data_root"]!r}']
    for name, split in splits.items():
        settings = dict(data_root=Code('data_root'))
        settings.update((key, value) for key, value in split.items()
                        if key not in ('type', 'data_root'))
        if 'categories' in settings:
            settings['categories'] = Code('categories')
        if own_pipelines:
            pipeline = dict(train='train', val='test')[name]
            settings['pipeline'] = Code(f'{pipeline}_pipeline')
        loader = dict(dataset=settings)
        if name == 'train':
            loader = dict(batch_size=batch_size, **loader)
        lines.append(f'{name}_dataloader = {_code(loader)}')
    if 'val' not in splits:
        return lines + [
            f'{split}_{part} = None' for split in ('val', 'test')
            for part in ('dataloader', 'evaluator', 'cfg')
        ]
    lines.append('test_dataloader = val_dataloader')
    if splits['val']['type'] == 'InstanceDataset':
        ann_file = Code(f'data_root + {splits["val"]["ann_file"]!r}')
        metric = dict(type='InstanceMetric', ann_file=ann_file)
        lines += [
            f'val_evaluator = {_code([metric])}',
            'test_evaluator = val_evaluator'
        ]
    return lines


def _schedule(iterations: int, load_from: Optional[str]) -> List[str]:
    interval = max(iterations // 10, 1)
    lines = [
        f'\nmax_iters = {iterations}',
        f'train_cfg = dict(max_iters=max_iters, val_interval={interval})',
        'param_scheduler = dict(end=max_iters)',
        f'default_hooks = dict(checkpoint=dict(interval={interval}))'
    ]
    if load_from is not None:
        lines += [
            f'\nload_from = {load_from!r}',
            "custom_hooks = [dict(type='NewClassesHook')]"
        ]
    return lines


def _code(value) -> str:
    """A value as a config states it."""
    if isinstance(value, Code):
        return value
    if isinstance(value, dict):
        pairs = [(key, _code(entry)) for key, entry in value.items()]
        if all(key.isidentifier() for key in value):
            return f'dict({", ".join(f"{k}={v}" for k, v in pairs)})'
        return f'{{{", ".join(f"{k!r}: {v}" for k, v in pairs)}}}'
    if isinstance(value, list):
        return f'[{", ".join(_code(entry) for entry in value)}]'
    return repr(value)
