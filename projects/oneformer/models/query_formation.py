"""Forming the object queries: from the task token, or learnt."""
from typing import Callable, Optional, Sequence, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmdet.models.layers import SinePositionalEncoding
from mmdet.models.layers.transformer import DetrTransformerDecoder
from mmdet.registry import MODELS
from mmdet.utils import ConfigType
from mmengine.model import BaseModule
from mmseg.utils.tokenizer import tokenize
from torch import Tensor

from ..tasks import TASKS, check_task, task_text
from .attention import (dropout_rate, project_output, project_query,
                        self_attend, split_heads)
from .linear import linear
from .position_attention import PositionMemory, attend_to_positions
from .text_mapper import CONTEXT_LENGTH


class TaskMLP(nn.Module):
    """Map the token ids of "the task is {task}" to a task token.

    Runs in float32: half precision cannot tell the largest token ids apart.

    Args:
        channels (int): Width C of the task token.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        tokens = tokenize([task_text(task) for task in TASKS], CONTEXT_LENGTH)
        self.register_buffer('tokens', tokens.float(), persistent=False)
        self.layers = nn.Sequential(
            nn.Linear(CONTEXT_LENGTH, channels), nn.ReLU(inplace=True),
            nn.Linear(channels, channels))

    def forward(self, tasks: Sequence[Sequence[str]]) -> Tensor:
        """Task tokens of shape (B, T, C) for T tasks of each image."""
        index = torch.tensor(
            [[TASKS.index(check_task(task)) for task in asked]
             for asked in tasks],
            device=self.tokens.device)
        with torch.autocast(self.tokens.device.type, enabled=False):
            return self.layers(self.tokens.float()[index])


@MODELS.register_module()
class QueryFormation(BaseModule):
    """Task-conditioned queries (paper, section 3.2).

    N - 1 queries start as copies of the task token and pass a small
    transformer decoder over the features at 1/4 scale; the task token
    itself is appended. As published weights need it, the position encoding
    of the features is key and value, and the projected features are added
    to the keys alone (official ``class_transformer``).

    Args:
        feat_channels (int): Width C of queries and features.
        num_queries (int): Number N of queries.
        transformer (dict): Config of ``DetrTransformerDecoder``.
        positional_encoding (dict): Config of ``SinePositionalEncoding``.
        initial_queries (str): What the queries start from.

            - 'task': copies of the task token, as published.
            - 'zero': zeros, the ablation "zero instead of task-guided query
              initialisation"; the task token is appended all the same.
            - 'learnt': N learnt queries, the ablation "no task token".
              Nothing is appended and no task enters anywhere.
    """

    def __init__(
        self,
        feat_channels: int,
        num_queries: int,
        transformer: ConfigType,
        positional_encoding: ConfigType,
        initial_queries: str = 'task',
    ) -> None:
        super().__init__()
        if initial_queries not in ('task', 'zero', 'learnt'):
            raise ValueError(f'initial_queries {initial_queries!r} is '
                             'unknown: choose from task, zero, learnt')
        self.initial_queries = initial_queries
        self.transformer = DetrTransformerDecoder(**transformer)
        self.positional_encoding = SinePositionalEncoding(
            **positional_encoding)
        self.feature_proj = nn.Conv2d(feat_channels, feat_channels, 1)
        if self.uses_task:
            self.task_mlp = TaskMLP(feat_channels)
        else:
            self.query_feat = nn.Embedding(num_queries, feat_channels)

    @property
    def uses_task(self) -> bool:
        """Whether the queries depend on the task."""
        return self.initial_queries != 'learnt'

    def init_weights(self) -> None:
        """Xavier-uniform transformer, Kaiming projection, as officially."""
        for parameter in self.transformer.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        nn.init.kaiming_uniform_(self.feature_proj.weight, a=1)
        nn.init.zeros_(self.feature_proj.bias)

    def task_tokens(self, tasks: Sequence[Sequence[str]],
                    norm: Callable[[Tensor], Tensor]) -> Tensor:
        """Normalised task tokens.

        Args:
            tasks (list[list[str]]): The T tasks of each image.
            norm (callable): The mask decoder's final norm, which the task
                token passes too.

        Returns:
            Tensor: Shape (B, T, C).
        """
        return norm(self.task_mlp(tasks))

    def _start(self, query_pos: Tensor, task_tokens: Optional[Tensor],
               batch_size: int) -> Tensor:
        """Initial queries (B, T, N - 1, C), or (B, 1, N, C) learnt ones."""
        if self.initial_queries == 'learnt':
            return self.query_feat.weight.expand(batch_size, 1, -1, -1)
        start = task_tokens.unsqueeze(2).expand(-1, -1, len(query_pos) - 1, -1)
        return torch.zeros_like(
            start) if self.initial_queries == 'zero' else start

    def forward(self, mask_features: Tensor, query_pos: Tensor,
                task_tokens: Optional[Tensor]) -> Tensor:
        """Form the queries of T tasks of each image.

        The tasks share the keys and values of their image.

        Args:
            mask_features (Tensor): 1/4-scale features, shape (B, C, h, w).
            query_pos (Tensor): Query positions, shape (N, C).
            task_tokens (Tensor, optional): From `task_tokens`, shape
                (B, T, C); None where ``uses_task`` is false.

        Returns:
            Tensor: Queries of shape (B, T, N, C); T is 1 for learnt ones.
        """
        positions = self._positions(mask_features)
        features = mask_features.flatten(2).transpose(1, 2).contiguous()
        query = self._start(query_pos, task_tokens, len(mask_features))
        query_pos = query_pos[:query.shape[2]]
        for layer in self.transformer.layers:
            memory = self._memory(layer.cross_attn.attn, features, positions)
            query = self._layer(layer, query, query_pos, memory)
        query = self.transformer.post_norm(query)
        if self.uses_task:
            query = torch.cat([query, task_tokens.unsqueeze(2)], dim=2)
        return query

    def _positions(self, maps: Tensor) -> Tuple[Tensor, Tensor]:
        """Position encodings of the rows (h, C / 2) and columns (w, C / 2).

        The encoding of a pixel is that of its row and that of its column.
        """
        height, width = maps.shape[2:]
        rows = self.positional_encoding(maps.new_zeros((1, height, 1)))
        columns = self.positional_encoding(maps.new_zeros((1, 1, width)))
        half = rows.shape[1] // 2
        return rows[0, :half, :, 0].t(), columns[0, half:, 0].t()

    def _memory(self, attention: nn.MultiheadAttention, features: Tensor,
                positions: Tuple[Tensor, Tensor]) -> PositionMemory:
        """Keys and values of a layer, which all tasks share.

        Keys are projections of ``feature_proj(features) + position``, values
        of the position. Two linear maps in a row are one, and a map of what
        rows and columns add up to is a sum again, so a product with the
        features is all that remains of four with as many pixels.

        Args:
            attention (nn.MultiheadAttention): Holds the projections.
            features (Tensor): Mask features (B, h w, C).
            positions (tuple[Tensor]): From `_positions`.
        """
        _, key_weight, value_weight = attention.in_proj_weight.chunk(3)
        _, key_bias, value_bias = attention.in_proj_bias.chunk(3)
        first = self.feature_proj
        bias = F.linear(first.bias[None], key_weight, key_bias)[0]
        key = linear(features, key_weight @ first.weight.flatten(1), bias)
        rows, columns = _project(key_weight, positions)
        key = key + (rows[:, None] + columns).flatten(0, 1)
        rows, columns = _project(value_weight, positions)
        return PositionMemory(*(split_heads(x, attention.num_heads)
                                for x in (key, rows + value_bias, columns)))

    def _layer(self, layer: nn.Module, query: Tensor, query_pos: Tensor,
               memory: PositionMemory) -> Tensor:
        """One DETR layer on (B, T, N, C), equal to ``layer`` on each task."""
        shape = query.shape
        x = query.flatten(0, 1)
        drop = layer.self_attn.dropout_layer
        x = x + drop(self_attend(layer.self_attn.attn, x, query_pos))
        x = layer.norms[0](x).unflatten(0, shape[:2])
        drop = layer.cross_attn.dropout_layer
        crossed = self._attend(layer.cross_attn.attn,
                               (x + query_pos).flatten(1, 2), memory)
        x = layer.norms[1](x + drop(crossed).view(shape))
        return layer.norms[2](layer.ffn(x))

    @staticmethod
    def _attend(attention: nn.MultiheadAttention, query: Tensor,
                memory: PositionMemory) -> Tensor:
        """``attention`` of queries (B, Q, C) to the memory."""
        out = attend_to_positions(
            project_query(attention, query), memory, dropout_rate(attention))
        return project_output(attention, out)


def _project(weight: Tensor,
             positions: Tuple[Tensor, Tensor]) -> Tuple[Tensor, Tensor]:
    """Products of a matrix (D, C) with positions of rows and of columns.

    Their sum is the product with the position of a pixel.
    """
    rows, columns = (F.linear(part, half)
                     for part, half in zip(positions, weight.chunk(2, dim=1)))
    return rows, columns


@MODELS.register_module()
class LearntQueries(BaseModule):
    """Queries of Mask2Former: learnt, the same for every image and task.

    Args:
        feat_channels (int): Width C of the queries.
        num_queries (int): Number N of queries.
    """
    uses_task = False

    def __init__(self, feat_channels: int, num_queries: int) -> None:
        super().__init__()
        self.query_feat = nn.Embedding(num_queries, feat_channels)

    def forward(self, mask_features: Tensor, query_pos: Tensor,
                task_tokens: None) -> Tensor:
        """Queries of shape (B, 1, N, C); see `QueryFormation.forward`."""
        return self.query_feat.weight.expand(len(mask_features), 1, -1, -1)
