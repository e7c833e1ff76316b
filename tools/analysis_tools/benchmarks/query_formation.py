"""Cases of the attention by which queries are formed."""
from pathlib import Path
from typing import Any, Callable, List

import torch
import torch.nn.functional as F
from torch import Tensor

from projects.oneformer.models.position_attention import (PositionMemory,
                                                          attend_to_positions)

from .comparison import near
from .measure import Case, Contender, Workload
from .pixel_decoder import CHANNELS, HEADS, differentiate

DROPOUT = 0.1


def inputs(workload: Workload) -> List[Tensor]:
    """Queries and keys of a batch, and values of rows and of columns."""
    generator = torch.Generator().manual_seed(0)
    height, width = (side // 4 for side in workload.image_size)

    def random(*shape):
        return torch.randn(shape, generator=generator)

    # heads are parts of the channels, as they come from a projection
    query, key = (
        random(workload.batch, number, HEADS, CHANNELS).transpose(1, 2)
        for number in (workload.queries - 1, height * width))
    rows, columns = (
        random(HEADS, number, CHANNELS) for number in (height, width))
    return [
        x.to(workload.device).requires_grad_()
        for x in (query, key, rows, columns)
    ]


def summed(workload: Workload, dropout_p: float) -> Callable[[], Any]:
    leaves = inputs(workload)
    query, *memory = leaves

    def attend():
        return [attend_to_positions(query, PositionMemory(*memory), dropout_p)]

    return differentiate(attend, leaves)


def multiplied(workload: Workload, dropout_p: float) -> Callable[[], Any]:
    query, key, rows, columns = leaves = inputs(workload)

    def attend():
        value = (rows[:, :, None] + columns[:, None]).flatten(1, 2)
        return [
            F.scaled_dot_product_attention(
                query, key, value.expand_as(key), dropout_p=dropout_p)
        ]

    return differentiate(attend, leaves)


def sums(workload: Workload, folder: Path) -> Callable[[], Any]:
    """Ours: weights are summed over rows and over columns."""
    return summed(workload, 0.)


def products(workload: Workload, folder: Path) -> Callable[[], Any]:
    """PyTorch's: weights are multiplied with the value of each pixel."""
    return multiplied(workload, 0.)


def sums_with_dropout(workload: Workload, folder: Path) -> Callable[[], Any]:
    return summed(workload, DROPOUT)


def products_with_dropout(workload: Workload,
                          folder: Path) -> Callable[[], Any]:
    return multiplied(workload, DROPOUT)


CASES = (
    Case('position-attention', 'attention to positions, with gradients',
         Contender('sums', sums), Contender('PyTorch', products), 1.2, near),
    Case('position-dropout', 'the same with dropout',
         Contender('sums', sums_with_dropout),
         Contender('PyTorch', products_with_dropout), 1.2),
)
