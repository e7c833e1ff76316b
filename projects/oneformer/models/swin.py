"""Swin Transformer that gathers its windows in one go."""
from typing import NamedTuple, Optional, Tuple

import torch
from mmdet.models.backbones import SwinTransformer
from mmdet.models.backbones.swin import ShiftWindowMSA
from mmdet.registry import MODELS
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from .cpu import takes_cpu_path
from .feed_forward import ChunkedLayers


@MODELS.register_module()
class OneFormerSwinTransformer(SwinTransformer):
    """``SwinTransformer`` on `WindowAttention` and `ChunkedLayers`.

    Its modules, parameters and results; what differs is how a CPU computes
    them.

    Args:
        *args, **kwargs: Of ``SwinTransformer``.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        for stage in self.stages:
            for block in stage.blocks:
                # the same state, another forward pass
                block.attn.__class__ = WindowAttention
                block.ffn.layers.__class__ = ChunkedLayers


class Windows(NamedTuple):
    """Where the pixels of B maps of h w pixels stand in W windows of n.

    Rows are those of single heads: ``pixels`` (B, h w, heads) holds the place
    of each pixel in (B, W, heads, n), ``places`` (B, W, heads, n) the place in
    (B, h w, heads) of what stands in the windows, or of any pixel where that
    is padding. ``padding`` (B, P, heads) holds the P places of each image that
    are padding.
    """
    pixels: Tensor
    places: Tensor
    padding: Tensor


class WindowAttention(ShiftWindowMSA):
    """``ShiftWindowMSA`` that moves pixels into windows and back once.

    The original pads, rolls, cuts and splits by copies, and projects the
    padding as well, whose queries, keys and values are the bias: with windows
    of 7 that is up to 72 % more on the smallest map of 512 x 512 pixels. With
    gradients 1.3 times as fast (case ``window-attention`` of
    docs/benchmarks.md).
    """

    def forward(self, query: Tensor, hw_shape: Tuple[int, int]) -> Tensor:
        """Attend inside of windows, (B, h w, C) -> (B, h w, C)."""
        if not takes_cpu_path(query):
            return super().forward(query, hw_shape)
        attention = self.w_msa
        windows = _windows(
            len(query), attention.num_heads, hw_shape, self.window_size,
            self.shift_size)
        q, k, v = _gather(attention.qkv(query), attention.qkv.bias, windows)
        weights = torch.baddbmm(
            q.new_zeros(()),
            q,
            k.transpose(1, 2),
            beta=0,
            alpha=attention.scale).unflatten(0, windows.places.shape[:3])
        weights += self._position_bias()
        if self.shift_size > 0:
            weights += _apart(hw_shape, self.window_size,
                              self.shift_size)[:, None]
        weights = attention.attn_drop(weights.softmax(-1)).flatten(0, 2)
        out = _TakeRows.apply(
            torch.bmm(weights, v).flatten(0, 1), windows.pixels.flatten(),
            windows.places.flatten(), windows.padding.flatten())
        return self.drop(
            attention.proj_drop(attention.proj(out.view_as(query))))

    def _position_bias(self) -> Tensor:
        """Bias of pairs of places in a window, (heads, n, n)."""
        places = self.w_msa.relative_position_index
        bias = self.w_msa.relative_position_bias_table[places.flatten()]
        return bias.view(*places.shape, -1).permute(2, 0, 1)


def _windows(batch_size: int, heads: int, size: Tuple[int, int], side: int,
             shift: int) -> Windows:
    rows, columns = (-(-length // side) for length in size)
    pixels = torch.full((rows * side, columns * side), -1, dtype=torch.int32)
    number = size[0] * size[1]
    pixels[:size[0], :size[1]] = _range(number).view(size)
    pixels = pixels.roll((-shift, -shift), (0, 1))
    pixels = _cut(pixels, side)
    inside = pixels.flatten() >= 0
    places = torch.empty(number, dtype=torch.int32)
    places[pixels.flatten()[inside].long()] = _range(pixels.numel())[inside]

    def in_windows(place: Tensor) -> Tensor:
        window, inner = place[:, None] // side**2, place[:, None] % side**2
        window = window + _range(batch_size)[:, None, None] * len(pixels)
        return (window * heads + _range(heads)) * side**2 + inner

    images = _range(batch_size)[:, None, None, None] * number
    return Windows(
        in_windows(places), (images + pixels.clamp(min=0)[:, None]) * heads +
        _range(heads)[:, None],
        in_windows(_range(pixels.numel())[~inside]).long())


def _range(number: int) -> Tensor:
    return torch.arange(number, dtype=torch.int32)


def _cut(maps: Tensor, side: int) -> Tensor:
    """Cut a map (H, W) of whole windows into them, (windows, side^2)."""
    parts = maps.unflatten(0, (-1, side)).unflatten(2, (-1, side))
    return parts.transpose(1, 2).flatten(2).flatten(0, 1)


def _apart(size: Tuple[int, int], side: int, shift: int) -> Tensor:
    """-100 for pairs that a shift brought into one window, (windows, n, n)."""
    rows, columns = (
        _region(-(-length // side) * side, side, shift) for length in size)
    regions = _cut(3 * rows[:, None] + columns, side)
    return (regions[:, None] != regions[:, :, None]) * -100.


def _region(length: int, side: int, shift: int) -> Tensor:
    """0 before the last window, 2 where the start of the map is in it."""
    places = _range(length)
    return (places >= length - side).int() + (places >= length - shift)


def _gather(qkv: Tensor, bias: Optional[Tensor],
            windows: Windows) -> Tuple[Tensor, ...]:
    """Queries, keys and values in windows, (B W heads, n, C / heads) each.

    From those of pixels, (B, h w, 3 C).
    """
    batch_size, _, heads, side = windows.places.shape
    channels = qkv.shape[-1] // (3 * heads)
    parts = torch.arange(3, dtype=torch.int32)
    # from rows of one of the three to rows of all
    pixel = windows.places // heads * (2 * heads) + windows.places
    index = pixel + parts.view(3, 1, 1, 1, 1) * heads
    size = windows.places.numel()
    inverse = windows.pixels[:, :, None] + parts[:, None] * size
    padding = windows.padding + parts.view(3, 1, 1, 1) * size
    if bias is None:
        bias = qkv.new_zeros(qkv.shape[-1])
    bias = bias.view(3, 1, 1, heads, channels).expand(*padding.shape, channels)
    rows = _TakeRows.apply(
        qkv.view(-1, channels), index.flatten(), inverse.flatten(),
        padding.flatten(), bias.flatten(0, -2))
    return rows.view(3, -1, side, channels).unbind()


class _TakeRows(Function):
    """Rows of a matrix in another order, some left out or some filled in.

    Gradients take the same way back, where autograd would add them up.

    Args:
        rows (Tensor): Shape (N, D).
        index (Tensor): The row of each of the M results.
        inverse (Tensor): The result of each of the N rows.
        padding (Tensor): Results that are ``fill`` instead, or without a
            ``fill`` rows that are no result.
        fill (Tensor, optional): Shape (len(padding), D).
    """

    @staticmethod
    def forward(ctx,
                rows: Tensor,
                index: Tensor,
                inverse: Tensor,
                padding: Tensor,
                fill: Optional[Tensor] = None) -> Tensor:
        ctx.save_for_backward(inverse, padding)
        ctx.filled = fill is not None
        out = rows.index_select(0, index)
        return out.index_copy_(0, padding, fill) if ctx.filled else out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        inverse, padding = ctx.saved_tensors
        rows = grad.index_select(0, inverse)
        if ctx.filled:
            return rows, None, None, None, grad[padding]
        return rows.index_fill_(0, padding, 0), None, None, None, None
