"""The part of a model that is exported: from pixels to logits."""
import copy
from typing import Tuple

import torch
from torch import Tensor, nn

from ..models import OneFormer
from ..models.neighborhood_attention import NeighborhoodAttention
from ..models.query_formation import TaskMLP
from .neighborhood import ExportableNeighborhoodAttention

#: Images have multiples of it on a side.
SIZE_DIVISOR = 32


class _TokenMLP(nn.Module):
    """`TaskMLP` on token ids in place of task names."""

    def __init__(self, task_mlp: TaskMLP) -> None:
        super().__init__()
        self.layers = task_mlp.layers

    def forward(self, tokens: Tensor) -> Tensor:
        """(T, 77) token ids of one image -> (1, T, C) task tokens."""
        return self.layers(tokens)[None]


class ExportNetwork(nn.Module):
    """A `OneFormer` without its post-processing, as one graph.

    Normalisation is inside, and so is the order of the colours: the image is
    RGB whatever the model was trained on.

    Args:
        model (OneFormer): With a task token. Is left as it is; parameters are
            copied.
    """

    def __init__(self, model: OneFormer) -> None:
        super().__init__()
        # the text mapper is for training alone and need not be copied
        without = {id(getattr(model.panoptic_head, 'text_mapper', None)): None}
        self.backbone = copy.deepcopy(model.backbone)
        self.head = head = copy.deepcopy(model.panoptic_head, without)
        for layer in head.pixel_decoder.encoder.layers:
            layer.self_attn.sample = layer.self_attn.sample_on_grid
        head.query_formation.task_mlp = _TokenMLP(
            head.query_formation.task_mlp)
        for module in self.backbone.modules():
            if isinstance(module, NeighborhoodAttention):
                module.attend = ExportableNeighborhoodAttention()
        preprocessor = model.data_preprocessor
        self.reverses_colours = not preprocessor._channel_conversion
        self.register_buffer('mean', preprocessor.mean.clone())
        self.register_buffer('std', preprocessor.std.clone())
        self.eval().requires_grad_(False)

    def forward(self, image: Tensor,
                task_tokens: Tensor) -> Tuple[Tensor, Tensor]:
        """Class and mask logits of one image under T tasks.

        Args:
            image (Tensor): RGB, 0 to 255, shape (1, 3, H, W), H and W
                multiples of `SIZE_DIVISOR`.
            task_tokens (Tensor): Token ids of "the task is {task}" as
                floats, shape (T, 77).

        Returns:
            tuple[Tensor]: Class logits (T, N, K + 1), the last one of "no
            object", and mask logits (T, N, H / 4, W / 4).
        """
        if self.reverses_colours:
            image = image.flip(1)
        head = self.head
        features = self.backbone((image - self.mean) / self.std)
        memory = head.encode(features)
        queries = head.form_queries(memory, task_tokens)
        predictions = head.decode(memory, queries)
        masks = torch.einsum('bqc,bchw->bqhw', predictions.mask_embeds[-1],
                             memory.mask_features)
        per_task = (queries.shape[1], queries.shape[2])
        return (predictions.cls_scores[-1, 0].unflatten(0, per_task),
                masks[0].unflatten(0, per_task))
