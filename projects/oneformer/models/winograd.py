"""3 x 3 convolutions with a quarter of the multiplications."""
from typing import Iterator, NamedTuple, Tuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from .cpu import takes_cpu_path

#: Side of the squares of results that are made at once, and of what they see.
TILE, SEEN = 4, 6
#: Where polynomials are compared, besides infinity. With 256 channels they
#: round by 4e-6 of the largest result, the usual 0, 1, -1, 2, -2 by 1e-5.
NODES = (0, 1, -1, 0.5, -2)
#: Tiles that are worked on at once: with 256 channels they are 9 MB.
CHUNK_TILES = 256


class Transforms(NamedTuple):
    """Matrices of Winograd's convolution on squares, rows first.

    ``image`` (36, 36) maps what a tile sees, ``filters`` (36, 9) a filter, to
    36 values whose products ``result`` (16, 36) maps to the tile.
    """
    image: Tensor
    filters: Tensor
    result: Tensor


def winograd_transforms() -> Transforms:
    """The transforms of F(4 x 4, 3 x 3), in float64.

    A convolution multiplies polynomials, which can be done by their values at
    nodes, at infinity that of the highest power; transposing the three steps
    gives Winograd's (Lavin and Gray, 2016, arXiv:1509.09308).
    """
    polynomial = np.polynomial.polynomial
    nodes = np.array(NODES, dtype=float)
    powers = np.vander(nodes, SEEN - 1, increasing=True)
    image = np.zeros((SEEN, SEEN))
    filters = np.zeros((SEEN, 3))
    result = np.zeros((TILE, SEEN))
    for i, node in enumerate(nodes):
        others = np.delete(nodes, i)
        image[i, :-1] = polynomial.polyfromroots(others)
        filters[i] = powers[i, :3] / np.prod(node - others)
        result[:, i] = powers[i, :TILE]
    image[-1] = polynomial.polyfromroots(nodes)
    filters[-1, -1] = result[-1, -1] = 1
    return Transforms(*(torch.from_numpy(np.kron(matrix, matrix))
                        for matrix in (image, filters, result)))


TRANSFORMS = winograd_transforms()


class WinogradConv2d(nn.Conv2d):
    """``Conv2d`` of 3 x 3 pixels; on a CPU by Winograd's algorithm.

    With stride 1 and padding 1 alone. The three steps are matrix products
    with the pixels of many tiles, of maps that have the channels of a pixel
    side by side. With gradients 1.7 times as fast as PyTorch's convolution
    (case ``convolution`` of docs/benchmarks.md).
    """

    def forward(self, x: Tensor) -> Tensor:
        """Convolve maps (B, C, h, w)."""
        if not takes_cpu_path(x):
            return super().forward(x)
        out = _Convolution.apply(x.permute(0, 2, 3, 1),
                                 self.weight).permute(0, 3, 1, 2)
        return out if self.bias is None else out + self.bias[:, None, None]


class _Convolution(Function):
    """Maps (B, h, w, C) and filters (D, C, 3, 3) to (B, h, w, D)."""

    @staticmethod
    def forward(ctx, maps: Tensor, filters: Tensor) -> Tensor:
        ctx.save_for_backward(maps, filters)
        return _convolve(maps, filters)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        maps, filters = ctx.saved_tensors
        maps_grad = filters_grad = None
        if ctx.needs_input_grad[0]:
            turned = filters.flip(2, 3).transpose(0, 1)
            maps_grad = _convolve(grad, turned)
        if ctx.needs_input_grad[1]:
            filters_grad = _filters_grad(maps, grad)
        return maps_grad, filters_grad


def _convolve(maps: Tensor, filters: Tensor) -> Tensor:
    image, spread, result = _transforms(maps)
    filters = filters.permute(2, 3, 1, 0)
    filters = (spread @ filters.flatten(0, 1).flatten(1)).view(
        -1, *filters.shape[2:])
    padded = _pad(maps, 1)
    rows, columns = _tiles(maps)
    out = maps.new_empty(
        (len(maps), rows, TILE, columns, TILE, filters.shape[-1]))
    for place in _chunks(maps):
        seen = _cut(padded, place, SEEN)
        products = (image @ seen.flatten(1)).view_as(seen) @ filters
        made = (result @ products.flatten(1)).view(TILE, TILE, -1, columns,
                                                   filters.shape[-1])
        out[place] = made.permute(2, 0, 3, 1, 4)
    return out.flatten(3, 4).flatten(1, 2)[:, :maps.shape[1], :maps.shape[2]]


def _filters_grad(maps: Tensor, grad: Tensor) -> Tensor:
    image, spread, result = _transforms(maps)
    padded, upstream = _pad(maps, 1), _pad(grad, 0)
    products = maps.new_zeros((SEEN**2, maps.shape[-1], grad.shape[-1]))
    result = result.t().contiguous()
    for place in _chunks(maps):
        seen = _cut(padded, place, SEEN)
        made = _cut(upstream, place, TILE)
        products.baddbmm_(
            (image @ seen.flatten(1)).view_as(seen).transpose(1, 2),
            (result @ made.flatten(1)).view(SEEN**2, *made.shape[1:]))
    filters = (spread.t() @ products.flatten(1)).view(3, 3,
                                                      *products.shape[1:])
    return filters.permute(3, 2, 0, 1)


def _transforms(like: Tensor) -> Transforms:
    return Transforms(*(matrix.to(like) for matrix in TRANSFORMS))


def _tiles(maps: Tensor) -> Tuple[int, int]:
    """Rows and columns of tiles that cover the maps."""
    rows, columns = (-(-side // TILE) for side in maps.shape[1:3])
    return rows, columns


def _chunks(maps: Tensor) -> Iterator[Tuple[int, slice]]:
    """Yield images and some rows of their tiles."""
    rows, columns = _tiles(maps)
    step = max(CHUNK_TILES // columns, 1)
    for image in range(len(maps)):
        for start in range(0, rows, step):
            yield image, slice(start, min(start + step, rows))


def _pad(maps: Tensor, margin: int) -> Tensor:
    """Zeros up to whole tiles, and a margin around these."""
    bottom, right = (tiles * TILE - side + margin
                     for tiles, side in zip(_tiles(maps), maps.shape[1:3]))
    return F.pad(maps, (0, 0, margin, right, margin, bottom))


def _cut(padded: Tensor, place: Tuple[int, slice], side: int) -> Tensor:
    """What the tiles of a place see, (side^2, tiles, C)."""
    image, rows = place
    strip = padded[image, rows.start * TILE:rows.stop * TILE + side - TILE]
    tiles = strip.unfold(0, side, TILE).unfold(1, side, TILE)
    return tiles.permute(3, 4, 0, 1, 2).flatten(0, 1).flatten(1, 2)
