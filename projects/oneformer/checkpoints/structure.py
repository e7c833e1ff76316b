"""What a model consists of: tensor shapes, sizes, and whether they fit."""
import re
from typing import Callable, Dict, List, Mapping, Tuple

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .names import Tensors, window_index

Shapes = Dict[str, Tuple[int, ...]]

HEAD = 'panoptic_head.'
CLASSIFIER = HEAD + 'cls_embed.'
#: What only training needs, and a checkpoint may therefore lack as a whole.
TEXT_MAPPER = HEAD + 'text_mapper.'
TEMPERATURE = HEAD + 'loss_contrastive.'

#: What holds nothing learnt, and a file may lack: how to make it of a shape.
_COMPUTED: Dict[str, Callable[[tuple], Tensor]] = dict(
    relative_position_index=lambda shape: window_index(
        torch.empty(shape, device='meta')),
    num_batches_tracked=lambda shape: torch.zeros(shape, dtype=torch.int64))


class CheckpointError(ValueError):
    """A checkpoint or what belongs to it is not what it should be."""


class LinspaceWithValues(TorchFunctionMode):
    """Backbones read their drop path rates from a ``linspace``.

    On the meta device it would have no values; here it stays on the CPU.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func is torch.linspace:
            kwargs['device'] = 'cpu'
        return func(*args, **kwargs)


def build_on_meta(model: dict) -> nn.Module:
    """Build a model of any size in no memory, its tensors having no values.

    Args:
        model (dict): Config of the model.
    """
    init_default_scope('mmdet')
    with torch.device('meta'), LinspaceWithValues():
        return MODELS.build(model)


def model_shapes(cfg: Config) -> Shapes:
    """Name and shape of all tensors of the model of a config."""
    state = build_on_meta(cfg.model.copy()).state_dict()
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def sizes(shapes: Mapping[str, Tuple[int, ...]]) -> Dict[str, object]:
    """The numbers in which models differ, read from names and shapes.

    Args:
        shapes (dict[str, tuple]): Under the names of this project.

    Returns:
        dict: Of those that can be read: name to number or list of numbers.
    """
    head = HEAD.replace('.', r'\.')
    rows = dict(
        classes=f'{HEAD}cls_embed.bias',
        queries=f'{HEAD}query_embed.weight',
        width=f'{HEAD}mask_embed.0.bias',
        text_width=f'{HEAD}text_mapper.encoder.ln_final.weight',
        text_context=f'{HEAD}text_mapper.context.weight')
    found = {
        key.replace('_', ' '): shapes[name][0]
        for key, name in rows.items() if name in shapes
    }
    if 'classes' in found:
        found['classes'] -= 1
    layers = {
        'pixel decoder layers': rf'{head}pixel_decoder\.encoder\.layers\.',
        'query layers': rf'{head}query_formation\.transformer\.layers\.',
        'mask decoder layers': rf'{head}transformer_decoder\.layers\.',
        'text layers': rf'{head}text_mapper\.encoder\.layers\.',
    }
    for key, pattern in layers.items():
        found[key] = _count(shapes, pattern + r'(\d+)\.')
    found['backbone'] = _backbone(shapes)
    stage = r'backbone\.(?:stages\.|levels\.|layer)'
    depths = (
        _count(shapes, rf'{stage}{k}\.(?:blocks\.)?(\d+)\.') for k in range(5))
    found['backbone depths'] = [depth for depth in depths if depth]
    found['backbone widths'] = [
        shapes[f'backbone.{name}'][axis]
        for name, axis in _width_tensors(found['backbone'])
        if f'backbone.{name}' in shapes
    ]
    return {key: value for key, value in found.items() if value}


def _count(shapes: Mapping[str, tuple], pattern: str) -> int:
    """How many different numbers stand at the group of a pattern."""
    matches = (re.match(pattern, name) for name in shapes)
    return len({match[1] for match in matches if match})


def _backbone(shapes: Mapping[str, tuple]) -> str:
    """The kind of the backbone, '' if unknown."""
    marks = dict(
        Swin=r'.*\.w_msa\.',
        DiNAT=r'.*\.attn\.rpb',
        ConvNeXt=r'.*\.depthwise_conv\.',
        ResNet=r'layer1\.0\.conv1\.')
    for kind, pattern in marks.items():
        if any(re.match(r'backbone\.' + pattern, name) for name in shapes):
            return kind
    return ''


def _width_tensors(backbone: str) -> List[Tuple[str, int]]:
    """Tensors, and their axis, that tell the width of each stage."""
    if backbone == 'ResNet':
        return [(f'layer{k}.0.downsample.0.weight', 0) for k in range(1, 5)]
    return [(f'norm{k}.weight', 0) for k in range(4)]


def fill_computed(tensors: Tensors, expected: Shapes) -> None:
    """Add what of `_COMPUTED` is missing, in place."""
    for name, shape in expected.items():
        if name not in tensors and _is_computed(name):
            tensors[name] = _COMPUTED[name.rpartition('.')[2]](shape)


def _is_computed(name: str) -> bool:
    return name.rpartition('.')[2] in _COMPUTED


def check_fit(tensors: Tensors, expected: Shapes, source: str) -> None:
    """Check that tensors are those that a model expects.

    Args:
        tensors (dict[str, Tensor]): Under the names of this project.
        expected (dict[str, tuple]): What `model_shapes` gives. The text
            mapper may be missing as a whole, and so may what
            `fill_computed` adds.
        source (str): Where the tensors come from.

    Raises:
        CheckpointError: With the sizes that differ, and a list of all tensors
            that are missing, left over or of another shape.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    without_text = not any(name.startswith(TEXT_MAPPER) for name in shapes)
    optional = (TEXT_MAPPER, TEMPERATURE) if without_text else ()
    missing = [
        name for name in expected if name not in shapes
        and not _is_computed(name) and not name.startswith(optional)
    ]
    unexpected = [name for name in shapes if name not in expected]
    wrong = [
        f'{name}: {list(shapes[name])} instead of {list(expected[name])}'
        for name in shapes
        if name in expected and shapes[name] != expected[name]
    ]
    if not missing and not unexpected and not wrong:
        return
    theirs, ours = sizes(shapes), sizes(expected)
    lines = [f'{source} does not fit the config:'] + [
        f'  {key}: {theirs[key]} in the file, {ours[key]} in the config'
        for key in ours if key in theirs and theirs[key] != ours[key]
    ]
    for title, entries in (('missing', missing),
                           ('not in the model', unexpected), ('shape', wrong)):
        lines += [f'{title}:'] * bool(entries)
        lines += [f'  {entry}' for entry in entries]
    raise CheckpointError('\n'.join(lines))
