"""Dilated 2D neighborhood attention, computed as dense attention on tiles.

A query attends to the K x K keys around it, ``dilation`` pixels apart; at the
borders the window is moved inside, so that it always holds K x K keys. Along
an axis, the pixels with the same remainder modulo the dilation form a group,
and the windows of neighbors in a group overlap almost wholly. So a tile of
T x T neighboring queries shares a block of at most (T + K - 1)^2 keys, and one
fused attention with a bias of minus infinity outside of the windows serves
all tiles that lie alike to their blocks. The keys are never copied K x K
times, and scores exist for one chunk of tiles at a time, backward as well.
"""
import inspect
import itertools
from collections import defaultdict
from functools import lru_cache
from typing import Callable, Iterator, List, NamedTuple, Optional, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

# Most queries of a tile along one axis. Larger tiles copy fewer keys and
# compute more scores outside of the windows.
TILE_SIZE = 10
# Most scores of a chunk of tiles: 4 MiB in float32, which a CPU can cache.
CHUNK_SCORES = 2**20


class AxisTiles(NamedTuple):
    """N tiles of T positions along one axis, alike to their S keys."""
    query: Tensor  # (N, T)
    key: Tensor  # (N, S)
    bias: Tensor  # (T, S) offset of the key, 0 to 2 K - 2, else 2 K - 1


class MapTiles(NamedTuple):
    """N tiles of T positions in a batch of flattened maps."""
    query: Tensor  # (N, T)
    key: Tensor  # (N, S)
    bias: Tensor  # (T, S) index into the flattened table of `_pad_table`

    def chunks(self, num_heads: int) -> Iterator[Tuple[Tensor, Tensor]]:
        """Queries and keys of as many tiles as may be computed at once."""
        scores = num_heads * self.query.shape[1] * self.key.shape[1]
        size = max(1, CHUNK_SCORES // scores)
        return zip(self.query.split(size), self.key.split(size))


def _split(length: int) -> List[range]:
    """Cut into ranges of nearly the same, allowed length."""
    count = -(-length // TILE_SIZE)
    bounds = [length * i // count for i in range(count + 1)]
    return [range(*pair) for pair in zip(bounds, bounds[1:])]


@lru_cache(maxsize=512)
def axis_tiles(num_queries: int, num_keys: int, kernel_size: int,
               dilation: int, device: torch.device) -> List[AxisTiles]:
    """Tile the first ``num_queries`` of ``num_keys`` positions of an axis."""
    alike = defaultdict(list)
    outside = 2 * kernel_size - 1
    for residue in range(min(dilation, num_queries)):
        group = range(residue, num_keys, dilation)
        for tile in _split(len(range(residue, num_queries, dilation))):
            starts = [
                min(max(0, i - kernel_size // 2),
                    len(group) - kernel_size) for i in tile
            ]
            block = range(starts[0], starts[-1] + kernel_size)
            bias = tuple(
                tuple(j - i + kernel_size - 1 if j -
                      start in range(kernel_size) else outside for j in block)
                for i, start in zip(tile, starts))
            alike[bias].append(
                ([group[i] for i in tile], [group[j] for j in block]))
    return [
        AxisTiles(
            torch.tensor([query for query, _ in tiles], device=device),
            torch.tensor([key for _, key in tiles], device=device),
            torch.tensor(bias, device=device))
        for bias, tiles in alike.items()
    ]


def _join(rows: Tensor, cols: Tensor, width: int) -> Tensor:
    """(.., A) and (.., B) indices of the axes -> (.., A * B) of the map."""
    return (rows[..., None] * width + cols[..., None, :]).flatten(-2)


def _join_batch(rows: Tensor, cols: Tensor, shape: torch.Size) -> Tensor:
    """Join (R, A) and (C, B) for (batch, H, W, ..): (batch * R * C, A * B)."""
    batch, height, width = shape[:3]
    index = _join(rows[:, None], cols[None], width).flatten(0, 1)
    first = torch.arange(batch, device=rows.device) * height * width
    return (first[:, None, None] + index).flatten(0, 1)


def map_tiles(query: Tensor, key: Tensor, kernel_size: int,
              dilation: int) -> Iterator[MapTiles]:
    """Tiles that together hold each query of the maps once."""
    axes = [
        axis_tiles(query.shape[dim], key.shape[dim], kernel_size, dilation,
                   query.device) for dim in (1, 2)
    ]
    for row, col in itertools.product(*axes):
        bias = _join(row.bias[:, None, :], col.bias[None], 2 * kernel_size)
        yield MapTiles(
            _join_batch(row.query, col.query, query.shape),
            _join_batch(row.key, col.key, key.shape), bias.flatten(0, 1))


def _pad_table(rpb: Tensor) -> Tensor:
    """(heads, 2K - 1, 2K - 1) -> (heads, 4 K^2), the last ones outside."""
    return F.pad(rpb, (0, 1, 0, 1), value=-torch.inf).flatten(1)


def _gather(x: Tensor, index: Tensor) -> Tensor:
    """Pick (N, T) of (positions, heads, C) into (N, heads, T, C)."""
    rows = x.flatten(1).index_select(0, index.flatten())
    return rows.view(*index.shape, *x.shape[1:]).transpose(1, 2)


def _rows(x: Tensor) -> Tensor:
    """(N, heads, T, C) -> (N * T, heads, C), the order of the index."""
    return x.transpose(1, 2).flatten(0, 1)


class TiledAttention(torch.autograd.Function):
    """The attention of `neighborhood_attention`, recomputed when backward."""

    @staticmethod
    def forward(ctx, query: Tensor, key: Tensor, value: Tensor, rpb: Tensor,
                kernel_size: int, dilation: int) -> Tensor:
        ctx.save_for_backward(query, key, value, rpb)
        ctx.window = (kernel_size, dilation)
        out = query.new_empty(query.shape)
        maps = [x.flatten(0, 2) for x in (query, key, value)]
        table = _pad_table(rpb.to(query.dtype))
        for tiles in map_tiles(query, key, *ctx.window):
            bias = table[:, tiles.bias]
            for at_query, at_key in tiles.chunks(query.shape[3]):
                attended = F.scaled_dot_product_attention(
                    *map(_gather, maps, (at_query, at_key, at_key)),
                    attn_mask=bias[None])
                out.flatten(0, 2).index_copy_(0, at_query.flatten(),
                                              _rows(attended).to(out.dtype))
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_out: Tensor):
        query, key, value, rpb = ctx.saved_tensors
        grads = [x.new_zeros(x.shape) for x in (query, key, value)]
        grad_query, grad_key, grad_value = (x.flatten(0, 2) for x in grads)
        maps = [x.flatten(0, 2) for x in (query, key, value, grad_out)]
        scale = query.shape[-1]**-0.5
        # In the bias table's precision, as many tiles add up to its gradient.
        table = _pad_table(rpb)
        grad_table = table.new_zeros(table.shape[::-1])
        for tiles in map_tiles(query, key, *ctx.window):
            bias = table[:, tiles.bias]
            grad_bias = torch.zeros_like(bias)
            for at_query, at_key in tiles.chunks(query.shape[3]):
                q, k, v, grad = map(_gather, maps,
                                    (at_query, at_key, at_key, at_query))
                probs = (q * scale @ k.mT + bias).softmax(-1)
                grad_probs = grad @ v.mT
                grad_scores = probs * (
                    grad_probs - (probs * grad_probs).sum(-1, keepdim=True))
                grad_bias += grad_scores.sum(0)
                grad_scores = grad_scores.to(q.dtype) * scale
                grad_query.index_copy_(0, at_query.flatten(),
                                       _rows(grad_scores @ k))
                grad_key.index_add_(0, at_key.flatten(),
                                    _rows(grad_scores.mT @ q))
                grad_value.index_add_(0, at_key.flatten(),
                                      _rows(probs.to(q.dtype).mT @ grad))
            grad_table.index_add_(0, tiles.bias.flatten(),
                                  grad_bias.flatten(1).mT)
        grad_rpb = grad_table.mT.unflatten(1, [n + 1 for n in rpb.shape[1:]])
        return (*grads, grad_rpb[:, :-1, :-1], None, None)


@lru_cache(maxsize=None)
def natten_kernels(device_type: str) -> Optional[Tuple[Callable, Callable]]:
    """The two kernels of an installed NATTEN that knows a position bias.

    Only for 'cuda': on a CPU, those of NATTEN 0.17 take a hundred times as
    long as the tiles.

    Returns:
        tuple[Callable, Callable], optional: ``scores(query, key, rpb,
        kernel_size, dilation)`` and ``attend(scores, value, kernel_size,
        dilation)`` on maps of shape (B, heads, H, W, C), of NATTEN 0.14 to
        0.17. None without NATTEN or with a later one, which has no bias.
    """
    if device_type != 'cuda':
        return None
    try:
        from natten import functional
    except Exception:  # absent, or unfit for this PyTorch or this machine
        return None
    scores = getattr(functional, 'na2d_qk', None)
    if scores and 'rpb' in inspect.signature(scores).parameters:
        return (lambda query, key, rpb, *window: scores(
            query, key, *window, rpb=rpb)), functional.na2d_av
    if hasattr(functional, 'natten2dqkrpb'):
        return functional.natten2dqkrpb, functional.natten2dav
    return None


def _natten_attention(query: Tensor, key: Tensor, value: Tensor, rpb: Tensor,
                      kernels: Tuple[Callable, Callable], kernel_size: int,
                      dilation: int) -> Tensor:
    """`neighborhood_attention` by NATTEN, for as many queries as keys."""
    scores, attend = kernels
    query, key, value = (
        x.permute(0, 3, 1, 2, 4).contiguous() for x in (query, key, value))
    probs = scores(query * query.shape[-1]**-0.5, key, rpb.to(query.dtype),
                   kernel_size, dilation).softmax(-1)
    return attend(probs, value, kernel_size, dilation).permute(0, 2, 3, 1, 4)


def neighborhood_attention(query: Tensor, key: Tensor, value: Tensor,
                           rpb: Tensor, kernel_size: int,
                           dilation: int) -> Tensor:
    """Attend to the K x K nearest keys of each query, ``dilation`` apart.

    NATTEN computes it on a GPU where a fitting version is installed.

    Args:
        query (Tensor): Unscaled queries of shape (B, Hq, Wq, heads, C), of
            the upper left pixels of the keys' map.
        key (Tensor): Keys of shape (B, H, W, heads, C), H and W at least
            ``kernel_size * dilation``.
        value (Tensor): Values of the keys' shape.
        rpb (Tensor): Relative position bias of shape
            (heads, 2 * kernel_size - 1, 2 * kernel_size - 1); the middle is
            the query's own position, larger indices lie below and right.
        kernel_size (int): Keys per axis, odd.
        dilation (int): Distance of neighboring keys in pixels.

    Returns:
        Tensor: Of the queries' shape.

    Raises:
        ValueError: If the map of the keys is smaller than the window.
    """
    height, width = key.shape[1:3]
    window = kernel_size * dilation
    if min(height, width) < window:
        raise ValueError(
            f'a map of {height} x {width} keys is smaller than the window of '
            f'{kernel_size} keys, {dilation} apart: pad it to {window}')
    kernels = natten_kernels(query.device.type)
    if kernels is None:
        return TiledAttention.apply(query, key, value, rpb, kernel_size,
                                    dilation)
    q_height, q_width = query.shape[1:3]
    pad = (0, 0, 0, 0, 0, width - q_width, 0, height - q_height)
    out = _natten_attention(
        F.pad(query, pad), key, value, rpb, kernels, kernel_size, dilation)
    return out[:, :q_height, :q_width]


class NeighborhoodAttention(nn.Module):
    """Multi-head neighborhood attention with a relative position bias.

    Tensor names and results are those of NATTEN's ``NeighborhoodAttention2D``
    up to 0.17, as used by the official DiNAT.

    Args:
        embed_dims (int): Channels, a multiple of ``num_heads``.
        num_heads (int): Attention heads.
        kernel_size (int): Keys per axis, odd.
        dilation (int): Distance of neighboring keys in pixels.
    """
    #: What attends; an exported model has another one here.
    attend = staticmethod(neighborhood_attention)

    def __init__(self,
                 embed_dims: int,
                 num_heads: int,
                 kernel_size: int,
                 dilation: int = 1) -> None:
        super().__init__()
        if embed_dims % num_heads:
            raise ValueError(f'embed_dims {embed_dims} is no multiple of '
                             f'num_heads {num_heads}')
        if kernel_size % 2 == 0:
            raise ValueError(f'kernel_size {kernel_size} is even: a window '
                             'needs a middle')
        self.num_heads = num_heads
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims)
        self.rpb = nn.Parameter(
            torch.empty(num_heads, 2 * kernel_size - 1, 2 * kernel_size - 1))
        self.proj = nn.Linear(embed_dims, embed_dims)
        nn.init.trunc_normal_(self.rpb, std=.02)

    def forward(self, x: Tensor) -> Tensor:
        """Attend within (B, H, W, C), as if zeros filled it up to the window.

        Maps smaller than the window are padded at the right and the bottom;
        the padded pixels are keys, but need no queries.
        """
        height, width = x.shape[1:3]
        window = self.kernel_size * self.dilation
        if min(height, width) < window:
            pad = (0, 0, 0, max(0, window - width), 0, max(0, window - height))
            qkv = F.pad(F.linear(x, self.qkv.weight), pad)
            qkv = qkv + self.qkv.bias.to(qkv.dtype)
        else:
            qkv = self.qkv(x)
        query, key, value = qkv.unflatten(-1,
                                          (3, self.num_heads, -1)).unbind(3)
        x = self.attend(query[:, :height, :width], key, value, self.rpb,
                        self.kernel_size, self.dilation)
        return self.proj(x.flatten(3))
