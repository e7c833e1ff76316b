"""Tensor names of OneFormer here, in the official code, in Hugging Face's.

One table holds the names of all three, so that each pair converts both ways.
Templates have fields: ``{i}`` and ``{j}`` stand for numbers, ``{w}`` for one
word, such as "weight". A tuple of templates stands for tensors that are one
elsewhere, in the order in which they are joined along their first dimension.
"""
import re
from functools import lru_cache
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple, Union

import torch
from torch import Tensor

OURS, OFFICIAL, HUGGING_FACE = 'ours', 'official', 'huggingface'

Templates = Union[str, Tuple[str, ...]]
Tensors = Dict[str, Tensor]

_FIELDS = {'i': r'\d+', 'j': r'\d+', 'w': r'\w+'}


class Value(NamedTuple):
    """How a tensor changes on the way to us and on the way back."""
    to_ours: Callable[[Tensor], Tensor]
    from_ours: Callable[[Tensor], Tensor]


class Row(NamedTuple):
    """The names of a tensor; None where one of the three has no such thing."""
    ours: str
    official: Templates
    huggingface: Optional[Templates]
    value: Optional[Value] = None


def window_index(tensor: Tensor) -> Tensor:
    """The index of relative positions in a window of Swin.

    It follows from the window size, and the value given is not looked at.

    Args:
        tensor (Tensor): Shape (w * w, w * w), w being the window size.

    Returns:
        Tensor: The same shape, int64.
    """
    size = round(len(tensor)**0.5)
    pixels = torch.arange(size * size)
    y, x = pixels // size, pixels % size
    rows = y[:, None] - y[None] + size - 1
    columns = x[:, None] - x[None] + size - 1
    return rows * (2 * size - 1) + columns


def _merging_to_ours(tensor: Tensor) -> Tensor:
    """Patch merging: 4 neighbours of C channels to C channels of 4.

    The official neighbours stand column by column, MMDetection's row by row.
    """
    pixels = tensor.unflatten(-1, (2, 2, -1))
    return pixels.movedim(-1, -3).transpose(-1, -2).flatten(-3).contiguous()


def _merging_from_ours(tensor: Tensor) -> Tensor:
    pixels = tensor.unflatten(-1, (-1, 2, 2))
    return pixels.transpose(-1, -2).movedim(-3, -1).flatten(-3).contiguous()


INDEX = Value(window_index, window_index)
MERGING = Value(_merging_to_ours, _merging_from_ours)


def _section(prefixes: Tuple[str, ...], *rows: tuple) -> List[Row]:
    """Rows below common prefixes; a row of one name has it everywhere."""
    section = []
    for row in rows:
        names, value = row[:3], row[3] if len(row) > 3 else None
        names = names * 3 if len(names) == 1 else names
        section.append(
            Row(*(_below(*pair) for pair in zip(prefixes, names)), value))
    return section


def _below(prefix: Optional[str], names: Templates) -> Optional[Templates]:
    if prefix is None or names is None:
        return None
    if isinstance(names, tuple):
        return tuple(prefix + name for name in names)
    return prefix + names


def _split(template: str, *names: str) -> Tuple[str, ...]:
    return tuple(template.format(name, w='{w}') for name in names)


_HF_ENCODER = 'model.pixel_level_module.encoder.'
_QUERY_KEY_VALUE = _split('attention.self.{}.{w}', 'query', 'key', 'value')

_SWIN = _section(
    ('backbone.', 'backbone.', _HF_ENCODER),
    ('patch_embed.projection.{w}', 'patch_embed.proj.{w}',
     'embeddings.patch_embeddings.projection.{w}'),
) + _section(
    ('backbone.stages.{i}.', 'backbone.layers.{i}.',
     _HF_ENCODER + 'encoder.layers.{i}.'),
    ('downsample.reduction.{w}', ) * 3 + (MERGING, ),
    ('downsample.norm.{w}', ) * 3 + (MERGING, ),
) + _section(
    ('backbone.stages.{i}.blocks.{j}.', 'backbone.layers.{i}.blocks.{j}.',
     _HF_ENCODER + 'encoder.layers.{i}.blocks.{j}.'),
    ('norm1.{w}', 'norm1.{w}', 'layernorm_before.{w}'),
    ('attn.w_msa.relative_position_bias_table',
     'attn.relative_position_bias_table',
     'attention.self.relative_position_bias_table'),
    ('attn.w_msa.relative_position_index', 'attn.relative_position_index',
     'attention.self.relative_position_index', INDEX),
    ('attn.w_msa.qkv.{w}', 'attn.qkv.{w}', _QUERY_KEY_VALUE),
    ('attn.w_msa.proj.{w}', 'attn.proj.{w}', 'attention.output.dense.{w}'),
    ('norm2.{w}', 'norm2.{w}', 'layernorm_after.{w}'),
    ('ffn.layers.0.0.{w}', 'mlp.fc1.{w}', 'intermediate.dense.{w}'),
    ('ffn.layers.1.{w}', 'mlp.fc2.{w}', 'output.dense.{w}'),
)

_DINAT = _section(
    ('backbone.', 'backbone.', _HF_ENCODER),
    ('patch_embed.proj.{i}.{w}', 'patch_embed.proj.{i}.{w}',
     'embeddings.patch_embeddings.projection.{i}.{w}'),
) + _section(
    ('backbone.levels.{i}.', 'backbone.levels.{i}.',
     _HF_ENCODER + 'encoder.levels.{i}.'),
    ('downsample.reduction.{w}', ),
    ('downsample.norm.{w}', ),
    ('blocks.{j}.norm1.{w}', 'blocks.{j}.norm1.{w}',
     'layers.{j}.layernorm_before.{w}'),
    ('blocks.{j}.attn.rpb', 'blocks.{j}.attn.rpb',
     'layers.{j}.attention.self.rpb'),
    ('blocks.{j}.attn.qkv.{w}', 'blocks.{j}.attn.qkv.{w}',
     tuple('layers.{j}.' + name for name in _QUERY_KEY_VALUE)),
    ('blocks.{j}.attn.proj.{w}', 'blocks.{j}.attn.proj.{w}',
     'layers.{j}.attention.output.dense.{w}'),
    ('blocks.{j}.norm2.{w}', 'blocks.{j}.norm2.{w}',
     'layers.{j}.layernorm_after.{w}'),
    ('blocks.{j}.mlp.fc1.{w}', 'blocks.{j}.mlp.fc1.{w}',
     'layers.{j}.intermediate.dense.{w}'),
    ('blocks.{j}.mlp.fc2.{w}', 'blocks.{j}.mlp.fc2.{w}',
     'layers.{j}.output.dense.{w}'),
)

_CONVNEXT = _section(
    ('backbone.', 'backbone.', None),
    ('downsample_layers.{i}.{j}.{w}', ),
    ('stages.{i}.{j}.gamma', ),
    ('stages.{i}.{j}.norm.{w}', ),
    ('stages.{i}.{j}.depthwise_conv.{w}', 'stages.{i}.{j}.dwconv.{w}', None),
    ('stages.{i}.{j}.pointwise_conv1.{w}', 'stages.{i}.{j}.pwconv1.{w}', None),
    ('stages.{i}.{j}.pointwise_conv2.{w}', 'stages.{i}.{j}.pwconv2.{w}', None),
)

_RESNET = _section(
    ('backbone.', 'backbone.', None),
    ('conv1.{w}', 'stem.conv1.{w}', None),
    ('bn1.{w}', 'stem.conv1.norm.{w}', None),
)
for _stage in range(1, 5):
    _RESNET += _section(
        (f'backbone.layer{_stage}.{{i}}.', f'backbone.res{_stage + 1}.{{i}}.',
         None), ('downsample.0.{w}', 'shortcut.{w}', None),
        ('downsample.1.{w}', 'shortcut.norm.{w}', None),
        *((f'conv{k}.{{w}}', ) for k in range(1, 4)),
        *((f'bn{k}.{{w}}', f'conv{k}.norm.{{w}}', None) for k in range(1, 4)))

_OUTPUT_NORMS = _section(
    ('backbone.', 'backbone.', _HF_ENCODER),
    ('patch_embed.norm.{w}', 'patch_embed.norm.{w}', 'embeddings.norm.{w}'),
    *((f'norm{k}.{{w}}', f'norm{k}.{{w}}',
       f'hidden_states_norms.stage{k + 1}.{{w}}') for k in range(4)))

_PIXEL_DECODER = _section(
    ('panoptic_head.pixel_decoder.', 'sem_seg_head.pixel_decoder.',
     'model.pixel_level_module.decoder.'),
    ('input_convs.{i}.conv.{w}', 'input_proj.{i}.0.{w}',
     'input_projections.{i}.0.{w}'),
    ('input_convs.{i}.gn.{w}', 'input_proj.{i}.1.{w}',
     'input_projections.{i}.1.{w}'),
    ('level_encoding.weight', 'transformer.level_embed', 'level_embed'),
    ('lateral_convs.0.conv.{w}', 'adapter_1.{w}', 'adapter_1.0.{w}'),
    ('lateral_convs.0.gn.{w}', 'adapter_1.norm.{w}', 'adapter_1.1.{w}'),
    ('output_convs.0.conv.{w}', 'layer_1.{w}', 'layer_1.0.{w}'),
    ('output_convs.0.gn.{w}', 'layer_1.norm.{w}', 'layer_1.1.{w}'),
    ('mask_feature.{w}', 'mask_features.{w}', 'mask_projection.{w}'),
) + _section(
    ('panoptic_head.pixel_decoder.encoder.layers.{i}.',
     'sem_seg_head.pixel_decoder.transformer.encoder.layers.{i}.',
     'model.pixel_level_module.decoder.encoder.layers.{i}.'),
    *((f'self_attn.{part}.{{w}}', )
      for part in ('sampling_offsets', 'attention_weights', 'value_proj',
                   'output_proj')),
    ('norms.0.{w}', 'norm1.{w}', 'self_attn_layer_norm.{w}'),
    ('ffn.layers.0.0.{w}', 'linear1.{w}', 'fc1.{w}'),
    ('ffn.layers.1.{w}', 'linear2.{w}', 'fc2.{w}'),
    ('norms.1.{w}', 'norm2.{w}', 'final_layer_norm.{w}'),
)

_QUERIES = _section(
    ('panoptic_head.query_formation.', '', 'model.task_encoder.'),
    ('task_mlp.layers.0.{w}', 'task_mlp.layers.0.{w}',
     'task_mlp.layers.0.0.{w}'),
    ('task_mlp.layers.2.{w}', 'task_mlp.layers.1.{w}',
     'task_mlp.layers.1.0.{w}'),
) + _section(
    ('panoptic_head.query_formation.', 'sem_seg_head.predictor.',
     'model.transformer_module.decoder.'),
    ('feature_proj.{w}', 'class_input_proj.{w}', 'query_input_projection.{w}'),
    ('transformer.post_norm.{w}', 'class_transformer.decoder.norm.{w}',
     'query_transformer.decoder.norm.{w}'),
) + _section(
    ('panoptic_head.query_formation.transformer.layers.{i}.',
     'sem_seg_head.predictor.class_transformer.decoder.layers.{i}.',
     'model.transformer_module.decoder.query_transformer.decoder.layers.{i}.'),
    *((f'self_attn.attn.{part}', f'self_attn.{part}', f'self_attn.{part}')
      for part in ('in_proj_{w}', 'out_proj.{w}')),
    *((f'cross_attn.attn.{part}', f'multihead_attn.{part}',
       f'multihead_attn.{part}') for part in ('in_proj_{w}', 'out_proj.{w}')),
    ('ffn.layers.0.0.{w}', 'linear1.{w}', 'linear1.{w}'),
    ('ffn.layers.1.{w}', 'linear2.{w}', 'linear2.{w}'),
    *((f'norms.{k}.{{w}}', f'norm{k + 1}.{{w}}', f'norm{k + 1}.{{w}}')
      for k in range(3)),
)

_MASK_DECODER = _section(
    ('panoptic_head.', 'sem_seg_head.predictor.', 'model.transformer_module.'),
    ('query_embed.{w}', 'query_embed.{w}', 'queries_embedder.{w}'),
    ('level_embed.{w}', ),
    ('transformer_decoder.post_norm.{w}', 'decoder_norm.{w}',
     'decoder.decoder_norm.{w}'),
    ('cls_embed.{w}', 'class_embed.{w}', 'decoder.class_embed.{w}'),
    *((f'mask_embed.{2 * k}.{{w}}', f'mask_embed.layers.{k}.{{w}}',
       f'decoder.mask_embed.layers.{k}.0.{{w}}') for k in range(3)),
) + _section(
    ('panoptic_head.transformer_decoder.layers.{i}.',
     'sem_seg_head.predictor.transformer_',
     'model.transformer_module.decoder.layers.{i}.'),
    *((f'cross_attn.attn.{part}',
       f'cross_attention_layers.{{i}}.multihead_attn.{part}',
       f'cross_attn.multihead_attn.{part}')
      for part in ('in_proj_{w}', 'out_proj.{w}')),
    ('norms.0.{w}', 'cross_attention_layers.{i}.norm.{w}',
     'cross_attn.norm.{w}'),
    ('self_attn.attn.in_proj_{w}',
     'self_attention_layers.{i}.self_attn.in_proj_{w}',
     _split('self_attn.self_attn.{}_proj.{w}', 'q', 'k', 'v')),
    ('self_attn.attn.out_proj.{w}',
     'self_attention_layers.{i}.self_attn.out_proj.{w}',
     'self_attn.self_attn.out_proj.{w}'),
    ('norms.1.{w}', 'self_attention_layers.{i}.norm.{w}',
     'self_attn.norm.{w}'),
    ('ffn.layers.0.0.{w}', 'ffn_layers.{i}.linear1.{w}', 'ffn.linear1.{w}'),
    ('ffn.layers.1.{w}', 'ffn_layers.{i}.linear2.{w}', 'ffn.linear2.{w}'),
    ('norms.2.{w}', 'ffn_layers.{i}.norm.{w}', 'ffn.norm.{w}'),
)

_TEXT = _section(
    ('panoptic_head.text_mapper.', '', 'model.text_mapper.'),
    ('encoder.positional_embedding', 'text_encoder.positional_embedding',
     'text_encoder.positional_embedding'),
    ('encoder.token_embedding.{w}', 'text_encoder.token_embedding.{w}',
     'text_encoder.token_embedding.{w}'),
    ('encoder.ln_final.{w}', 'text_encoder.ln_final.{w}',
     'text_encoder.ln_final.{w}'),
    ('projector.0.{w}', 'text_projector.layers.0.{w}',
     'text_projector.layers.0.0.{w}'),
    ('projector.2.{w}', 'text_projector.layers.1.{w}',
     'text_projector.layers.1.0.{w}'),
    ('context.{w}', 'prompt_ctx.{w}', 'prompt_ctx.{w}'),
) + _section(
    ('panoptic_head.text_mapper.encoder.layers.{i}.',
     'text_encoder.transformer.resblocks.{i}.',
     'model.text_mapper.text_encoder.transformer.layers.{i}.'),
    ('attn.in_proj_{w}', 'attn.in_proj_{w}', 'self_attn.in_proj_{w}'),
    ('attn.out_proj.{w}', 'attn.out_proj.{w}', 'self_attn.out_proj.{w}'),
    ('ln_1.{w}', 'ln_1.{w}', 'layer_norm1.{w}'),
    ('mlp.c_fc.{w}', 'mlp.c_fc.{w}', 'mlp.fc1.{w}'),
    ('mlp.c_proj.{w}', 'mlp.c_proj.{w}', 'mlp.fc2.{w}'),
    ('ln_2.{w}', 'ln_2.{w}', 'layer_norm2.{w}'),
) + [
    Row('panoptic_head.loss_contrastive.logit_scale', 'criterion.logit_scale',
        'criterion.logit_scale'),
]

TABLE: List[Row] = [
    *_SWIN, *_DINAT, *_CONVNEXT, *_RESNET, *_OUTPUT_NORMS, *_PIXEL_DECODER,
    *_QUERIES, *_MASK_DECODER, *_TEXT
]

#: What both others carry besides: the class weights of their loss.
CLASS_WEIGHT = 'criterion.empty_weight'


class UnknownNames(ValueError):
    """Tensor names that no rule knows, or tensors without their others.

    ``names`` lists them.
    """

    def __init__(self, names: List[str]) -> None:
        super().__init__('tensors without a rule: ' + ', '.join(names))
        self.names = names


def to_ours(tensors: Tensors, naming: str) -> Tensors:
    """Tensors under the names of this project.

    Args:
        tensors (dict[str, Tensor]): Those of a model in another naming. The
            loss's class weights among them are left out.
        naming (str): `OFFICIAL` or `HUGGING_FACE`.

    Raises:
        UnknownNames: If a name matches no rule, or of tensors that are one
            here some are missing.
    """
    parts, unknown = {}, []
    for name in tensors:
        if name == CLASS_WEIGHT:
            continue
        found = _find(name, naming)
        if found is None:
            unknown.append(name)
        else:
            row, place, fields = found
            entry = parts.setdefault(row.ours.format(**fields), (row, {}))
            entry[1][place] = name
    converted = {}
    for ours, (row, names) in parts.items():
        if len(names) < len(_templates(row, naming)):
            unknown += names.values()
            continue
        pieces = [tensors[names[place]] for place in sorted(names)]
        tensor = torch.cat(pieces) if len(pieces) > 1 else pieces[0]
        converted[ours] = row.value.to_ours(tensor) if row.value else tensor
    if unknown:
        raise UnknownNames(sorted(unknown))
    return converted


def from_ours(tensors: Tensors, naming: str) -> Tensors:
    """Tensors of this project under the names of another; see `to_ours`.

    The class weights of the loss are for the caller to add.

    Raises:
        UnknownNames: If a name matches no rule or has no counterpart.
    """
    converted, unknown = {}, []
    for name, tensor in tensors.items():
        row, _, fields = _find(name, OURS) or (None, None, None)
        names = _templates(row, naming) if row else ()
        if not names:
            unknown.append(name)
            continue
        if row.value:
            tensor = row.value.from_ours(tensor)
        pieces = [tensor]
        if len(names) > 1:
            # files of tensors that share memory are refused elsewhere
            pieces = [piece.clone() for piece in tensor.chunk(len(names))]
        for template, piece in zip(names, pieces):
            converted[template.format(**fields)] = piece
    if unknown:
        raise UnknownNames(sorted(unknown))
    return converted


def _templates(row: Row, naming: str) -> Tuple[str, ...]:
    """The names of a row in a naming: none, one or several."""
    names = getattr(row, naming)
    return (names, ) if isinstance(names, str) else tuple(names or ())


@lru_cache
def _patterns(naming: str) -> List[Tuple[re.Pattern, Row, int]]:
    return [(_compile(template), row, place) for row in TABLE
            for place, template in enumerate(_templates(row, naming))]


def _compile(template: str) -> re.Pattern:
    text = re.escape(template)
    for field, pattern in _FIELDS.items():
        text = text.replace(rf'\{{{field}\}}', f'(?P<{field}>{pattern})')
    return re.compile(text)


def _find(name: str, naming: str) -> Optional[Tuple[Row, int, dict]]:
    """The row of a name, its place among joined ones, and its fields."""
    for pattern, row, place in _patterns(naming):
        match = pattern.fullmatch(name)
        if match:
            return row, place, match.groupdict()
    return None
