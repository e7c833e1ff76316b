"""Conversion of whole checkpoints, from and to this project."""
import math
import re
from typing import Optional, Sequence, Tuple

import torch
from mmengine.config import Config

from .class_order import ClassOrder, find_class_order
from .names import (CLASS_WEIGHT, HUGGING_FACE, OFFICIAL, OURS, Tensors,
                    UnknownNames, from_ours, to_ours)
from .structure import (CLASSIFIER, HEAD, TEXT_MAPPER, CheckpointError,
                        check_fit, fill_computed, model_shapes)

#: A tensor that every OneFormer has, and Mask2Former has not.
_MARKS = {
    OURS: f'{HEAD}query_formation.task_mlp.layers.0.weight',
    OFFICIAL: 'task_mlp.layers.0.weight',
    HUGGING_FACE: 'model.task_encoder.task_mlp.layers.0.0.weight',
}
#: What a backbone's names begin with.
_BACKBONE = {
    OFFICIAL: 'backbone.',
    HUGGING_FACE: 'model.pixel_level_module.encoder.',
}
_WHOSE = {
    OURS: 'this project',
    OFFICIAL: 'the official code',
    HUGGING_FACE: 'Hugging Face',
}


def to_mmdet(
        cfg: Config,
        tensors: Tensors,
        naming: str,
        source: str,
        things: Optional[Sequence[int]] = None,
        names: Optional[Sequence[str]] = None) -> Tuple[Tensors, ClassOrder]:
    """Tensors of another OneFormer as the model of a config takes them.

    Args:
        cfg (Config): Its model gets the class counts where it has none.
        tensors (dict[str, Tensor]): Those of the other model.
        naming (str): `OFFICIAL` or `HUGGING_FACE`.
        source (str): Where they come from, for errors.
        things, names: See `find_class_order`.

    Returns:
        tuple: State dict in the order of the model, and the class order.

    Raises:
        CheckpointError: If it is another model or does not fit the config,
            with all that is missing, left over or of another shape.
    """
    _check_naming(tensors, naming, source)
    try:
        state = to_ours(tensors, naming)
    except UnknownNames as error:
        raise _unknown(error, source, OURS) from None
    order = _settle_classes(cfg, state, things=things, names=names)
    expected = model_shapes(cfg)
    check_fit(state, expected, source)
    fill_computed(state, expected)
    _permute_classes(state, order.indices)
    return {name: state[name] for name in expected if name in state}, order


def from_mmdet(
        cfg: Config,
        tensors: Tensors,
        naming: str,
        source: str,
        things: Optional[Sequence[int]] = None,
        dataset_meta: Optional[dict] = None) -> Tuple[Tensors, ClassOrder]:
    """Tensors of this project under the names of another; see `to_mmdet`.

    Args:
        things (list[int], optional): Which classes are things in the order
            that is wanted.
        dataset_meta (dict, optional): See `find_class_order`.
    """
    _check_naming(tensors, OURS, source)
    state = dict(tensors)
    order = _settle_classes(
        cfg, state, things=things, dataset_meta=dataset_meta)
    check_fit(state, model_shapes(cfg), source)
    _permute_classes(state, order.labels)
    try:
        converted = from_ours(state, naming)
    except UnknownNames as error:
        raise _unknown(error, source, naming) from None
    weight = torch.ones_like(state[CLASSIFIER + 'bias'])
    weight[-1] = cfg.model.panoptic_head.get('no_object_weight', 0.1)
    converted[CLASS_WEIGHT] = weight
    if naming == HUGGING_FACE:
        # its model has one even without a text mapper
        converted.setdefault('criterion.logit_scale',
                             torch.tensor(math.log(1 / 0.07)))
    return converted, order


def backbone_to_mmdet(cfg: Config, tensors: Tensors, source: str) -> Tensors:
    """Tensors of an ImageNet classifier as the backbone of a config.

    Args:
        cfg (Config): Its backbone is a Swin, ConvNeXt or DiNAT.
        tensors (dict[str, Tensor]): In the naming of the backbone's official
            code or of Hugging Face.
        source (str): Where they come from, for errors.

    Returns:
        dict[str, Tensor]: For ``init_cfg`` of the backbone, with the prefix
        'backbone.'. The norms of its outputs, which a classifier does not
        have, are not in it.

    Raises:
        CheckpointError: As `to_mmdet`.
    """
    naming, state = OFFICIAL, {}
    for name, tensor in tensors.items():
        kind, _, rest = name.partition('.')
        if kind in ('swin', 'dinat') and rest:
            naming, name = HUGGING_FACE, rest
        if not re.match(r'(head|norm|layernorm|classifier)\.|.*\.attn_mask$',
                        name):
            state[_BACKBONE[naming] + name] = tensor
    try:
        state = to_ours(state, naming)
    except UnknownNames as error:
        raise _unknown(error, source, OURS) from None
    model = cfg.model.copy()
    model.update(num_things_classes=1, num_stuff_classes=1)
    expected = {
        name: shape
        for name, shape in model_shapes(Config(dict(model=model))).items()
        if re.match(r'backbone\.(?!norm\d)', name)
    }
    check_fit(state, expected, source)
    fill_computed(state, expected)
    return {name: state[name] for name in expected}


def split_text_mapper(state: Tensors) -> Tuple[Tensors, Tensors]:
    """Tensors of this project without, and of, the text mapper."""
    parts: Tuple[Tensors, Tensors] = ({}, {})
    for name, tensor in state.items():
        parts[name.startswith(TEXT_MAPPER)][name] = tensor
    return parts


def _check_naming(tensors: Tensors, naming: str, source: str) -> None:
    if _MARKS[naming] in tensors:
        return
    for other, mark in _MARKS.items():
        if mark in tensors:
            raise CheckpointError(
                f'{source} has the tensor names of {_WHOSE[other]}, expected '
                f'those of {_WHOSE[naming]}: use another converter')
    some = ', '.join(sorted(tensors)[:3])
    raise CheckpointError(
        f'{source} is no OneFormer of {_WHOSE[naming]}: it has no '
        f'{_MARKS[naming]}, but {len(tensors)} others such as {some}')


def _unknown(error: UnknownNames, source: str, naming: str) -> CheckpointError:
    names = [f'  {name}' for name in error.names]
    return CheckpointError('\n'.join([
        f'{source} has tensors without a place in the OneFormer of '
        f'{_WHOSE[naming]}:', *names
    ]))


def _settle_classes(cfg: Config, state: Tensors, **known) -> ClassOrder:
    """The class order; the config gets the counts that it lacks."""
    model = cfg.model
    num_classes = len(state[CLASSIFIER + 'bias']) - 1
    given = (model.get('num_things_classes'), model.get('num_stuff_classes'))
    if None not in given and sum(given) != num_classes:
        # leave it to the comparison of all sizes
        return ClassOrder(tuple(range(sum(given))), given[0], (), '')
    order = find_class_order(cfg, num_classes, **known)
    found = (order.num_things, len(order.labels) - order.num_things)
    if any(g not in (None, f) for g, f in zip(given, found)):
        raise CheckpointError(
            f'{order.origin} has {found[0]} things and {found[1]} stuff '
            f'classes, the config {given[0]} and {given[1]}')
    model.num_things_classes, model.num_stuff_classes = found
    return order


def _permute_classes(state: Tensors, indices: Sequence[int]) -> None:
    """Take the rows of the classifier; that of "no object" stays last."""
    rows = [*indices, len(indices)]
    for part in ('weight', 'bias'):
        state[CLASSIFIER + part] = state[CLASSIFIER + part][rows]
