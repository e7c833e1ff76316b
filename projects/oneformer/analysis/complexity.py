"""Parameters and multiply-adds of a OneFormer, part by part.

The model is built and run on tensors without values, so that neither weights
nor data nor time are needed.
"""
import copy
from collections import Counter
from typing import Dict, NamedTuple, Optional

import torch
from mmengine.config import Config
from torch import nn
# tensors that look as if they were on a CPU, and have no values
from torch._subclasses.fake_tensor import FakeTensorMode

from ..apis import complete_config
from ..checkpoints.structure import (HEAD, TEMPERATURE, TEXT_MAPPER,
                                     build_on_meta)
from ..models import OneFormer
from ..tasks import TASKS
from . import stages
from .counter import MultiplyAddCounter
from .stages import Size, Sizes


class Parameters(NamedTuple):
    """Numbers of parameters.

    ``text_mapper`` holds what training alone needs; published figures leave
    it out.
    """
    backbone: int
    pixel_decoder: int
    query_formation: int
    mask_decoder: int
    text_mapper: int

    @property
    def without_text_mapper(self) -> int:
        return sum(self) - self.text_mapper

    @property
    def total(self) -> int:
        return sum(self)


class MultiplyAdds(NamedTuple):
    """Numbers of multiply-adds.

    ``masks`` are the products of queries and pixels that give masks or, in
    this project, attention masks of the size of a level.
    """
    backbone: int
    pixel_decoder: int
    query_formation: int
    mask_decoder: int
    masks: int
    post_processing: int

    @property
    def network(self) -> int:
        return sum(self) - self.post_processing

    @property
    def total(self) -> int:
        return sum(self)


class Complexity(NamedTuple):
    """What a model costs on one image.

    Attributes:
        parameters (Parameters): Of the model.
        official (MultiplyAdds): Of one task as the official code works and
            the published figures count: masks of all pixels after each layer
            of the mask decoder, and semantic post-processing.
        one_task (MultiplyAdds): What this project does at most, of the three
            tasks that which takes most (semantic).
        three_tasks (MultiplyAdds): What this project does at most for all
            three. Masks of all queries count as resized everywhere, though
            few survive, and most are far from most pixels.
        deformable_sampling (int): What the reading of the sampled points of
            deformable attention contributes to each.
        neighborhood_attention (int): What the attention of the queries of
            neighborhood attention contributes to each, K x K keys a query.
        uncounted (dict[str, int]): Calls of operators that cannot be counted
            and are missing above.
    """
    parameters: Parameters
    official: MultiplyAdds
    one_task: MultiplyAdds
    three_tasks: MultiplyAdds
    deformable_sampling: int
    neighborhood_attention: int
    uncounted: Dict[str, int]


def complexity(cfg: Config,
               shape: Size,
               output_shape: Optional[Size] = None) -> Complexity:
    """Parameters and multiply-adds of the model of a config on one image.

    Args:
        cfg (Config): Has a `OneFormer` as ``model``, and its class counts or
            a data set to take them from, see `complete_config`.
        shape (tuple[int, int]): Height and width of the image as the network
            gets it, padding left out.
        output_shape (tuple[int, int], optional): Height and width of the
            results; by default those of ``shape``.

    Raises:
        FileNotFoundError, ValueError: See `complete_config`; and if a size
            is not positive, the model another one, or something in it cannot
            run without values.
    """
    for name, size in (('shape', shape), ('output shape', output_shape)):
        if size is not None and min(size) < 1:
            raise ValueError(f'{name} is {size[0]} x {size[1]}: height and '
                             'width must be at least 1')
    config = _model_config(cfg)
    try:
        model = build_on_meta(config)
        divisor = model.data_preprocessor.pad_size_divisor
        padded = tuple(-(-side // divisor) * divisor for side in shape)
        return _count(model, Sizes(shape, padded, output_shape or shape))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError('the model does not run on tensors without values, '
                         f'so it cannot be counted: {reason}') from error


def _model_config(cfg: Config) -> dict:
    """The completed model of a config, which is left as it is."""
    model = cfg.get('model') or {}
    if model.get('type') != OneFormer.__name__:
        raise ValueError(f'model.type is {model.get("type")!r}: what can be '
                         f'counted is {OneFormer.__name__!r}')
    return complete_config(copy.deepcopy(cfg)).model


def _parameters(model: nn.Module) -> Parameters:
    parts = {
        'backbone.': 'backbone',
        f'{HEAD}pixel_decoder.': 'pixel_decoder',
        f'{HEAD}query_formation.': 'query_formation',
        TEXT_MAPPER: 'text_mapper',
        TEMPERATURE: 'text_mapper',
        f'{HEAD}query_cls_embed.': 'text_mapper',
    }
    numbers = Counter()
    for name, parameter in model.named_parameters():
        found = [
            part for start, part in parts.items() if name.startswith(start)
        ]
        numbers[found[0] if found else 'mask_decoder'] += parameter.numel()
    return Parameters(*(numbers[part] for part in Parameters._fields))


def _count(model: OneFormer, sizes: Sizes) -> Complexity:
    parameters = _parameters(model)
    head, fusion_head = model.panoptic_head, model.panoptic_fusion_head
    shared, official, *own = (MultiplyAddCounter() for _ in range(4))
    asked = ['semantic'], TASKS
    # the parameters, on the meta device, are not fake at first
    with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True):
        stages.make_countable(model, shared)
        memory = stages.encode(model, sizes.padded, shared)
        masks = stages.decode(head, memory, TASKS[:1], official, True)
        stages.postprocess_officially(masks, fusion_head.num_classes, sizes,
                                      official)
        for tasks, counter in zip(asked, own):
            stages.decode(head, memory, tasks, counter)
    with torch.no_grad():
        for tasks, counter in zip(asked, own):
            stages.postprocess(fusion_head, masks.shape, tasks, sizes, counter)
    counts = [
        MultiplyAdds(*(shared.parts[part] + counter.parts[part]
                       for part in MultiplyAdds._fields))
        for counter in (official, *own)
    ]
    return Complexity(parameters, *counts, shared.operators[stages.SAMPLING],
                      shared.operators[stages.NEIGHBORHOOD],
                      dict(shared.unknown + own[-1].unknown))
