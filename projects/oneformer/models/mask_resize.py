"""Resizing mask logits to the output, one tile at a time."""
from typing import Iterator, NamedTuple, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

#: Values of a tile: small enough to stay in the cache, large enough that
#: the number of tiles does not matter.
TILE_VALUES = 1 << 21
#: Side of the tiles in which masks are looked up by their bounds, in pixels
#: and as a share of the longer side of the output.
SMALLEST_SIDE, SHARE_OF_SIDE = 64, 1 / 16
#: Bounds are widened by this share of the largest logit, for rounding.
ROUNDING = 1e-5


class Tile(NamedTuple):
    """A part of the output, and what masks can be there.

    ``lowest`` and ``highest``, of shape (Q, ), hold bounds of the logits of
    each mask inside the tile.
    """
    rows: slice
    columns: slice
    lowest: Tensor
    highest: Tensor

    @property
    def shape(self) -> Tuple[int, int]:
        return (self.rows.stop - self.rows.start,
                self.columns.stop - self.columns.start)


def _resize_matrix(source: int, padded: int, image: int,
                   output: int) -> Tensor:
    """Resizing of a line of ``source`` values as a matrix (output, source).

    To ``padded`` values, of which the first ``image`` are kept and resized
    to ``output``; each bilinear as ``F.interpolate`` does it.
    """
    lines = torch.eye(source)[None]
    lines = F.interpolate(lines, size=padded, mode='linear')[..., :image]
    if image != output:
        lines = F.interpolate(lines, size=output, mode='linear')
    return lines[0].t().contiguous()


class MaskResizer:
    """Bilinear resizing of mask logits to any part of the output.

    Logits are resized to the padded network input, cut to the image and
    resized to the output, as Mask2Former does. Both steps are linear and
    separable, so a tile of the output is a product of its logits with two
    thin matrices, and masks never stand in memory at full size.

    Args:
        mask_size (tuple[int, int]): Height and width of the logits.
        padded_size (tuple[int, int]): Of the network input.
        image_size (tuple[int, int]): Of the image in it.
        output_size (tuple[int, int]): Of the result.
    """

    def __init__(self, mask_size: Tuple[int, int],
                 padded_size: Tuple[int, int], image_size: Tuple[int, int],
                 output_size: Tuple[int, int]) -> None:
        self.output_size = tuple(output_size)
        self._matrices = [
            _resize_matrix(*sizes)
            for sizes in zip(mask_size, padded_size, image_size, output_size)
        ]
        # of each line of the output, the first and the last source it uses
        self._sources = [(matrix.ne(0).int().argmax(dim=1).tolist(),
                          (matrix.shape[1] - 1 -
                           matrix.ne(0).int().flip(1).argmax(dim=1)).tolist())
                         for matrix in self._matrices]

    def _band(self, axis: int, part: slice) -> Tuple[Tensor, slice]:
        """Lines ``part`` of an axis, cut to the sources that they use."""
        first, last = self._sources[axis]
        source = slice(min(first[part]), max(last[part]) + 1)
        return self._matrices[axis][part, source], source

    def tile(self,
             masks: Tensor,
             rows: slice,
             columns: slice,
             index: Optional[Tensor] = None) -> Tensor:
        """Resized logits of a part of the output.

        Args:
            masks (Tensor): Shape (Q, h, w).
            rows, columns (slice): Of the output.
            index (Tensor, optional): The masks that are wanted, all by
                default.

        Returns:
            Tensor: Shape (n, rows, columns).
        """
        vertical, source_rows = self._band(0, rows)
        horizontal, source_columns = self._band(1, columns)
        masks = masks[:, source_rows, source_columns]
        masks = (masks if index is None else masks[index]).float()
        masks = vertical.to(masks) @ masks
        return masks @ horizontal.to(masks).t()

    def pixels(self, masks: Tensor, tile: Tile, index: Tensor) -> Tensor:
        """Resized logits (Q, n) at some pixels of a tile.

        Args:
            masks (Tensor): Shape (Q, h, w).
            tile (Tile): Of the output.
            index (Tensor): Places in the flattened tile, shape (n, ).
        """
        height, width = tile.shape
        if len(index) > height + width:  # the whole tile is less work
            logits = self.tile(masks, tile.rows, tile.columns)
            return logits.flatten(1)[:, index]
        vertical, source_rows = self._band(0, tile.rows)
        horizontal, source_columns = self._band(1, tile.columns)
        masks = masks[:, source_rows, source_columns].float()
        lines = vertical.to(masks)[index // width] @ masks
        return (lines * horizontal.to(masks)[index % width]).sum(dim=-1)

    def _grid(self, side: int) -> Iterator[Tuple[slice, slice]]:
        height, width = self.output_size
        for top in range(0, height, side):
            rows = slice(top, min(top + side, height))
            for left in range(0, width, side):
                yield rows, slice(left, min(left + side, width))

    def tiles(self, masks: Tensor) -> Iterator[Tuple[slice, slice, Tensor]]:
        """Yield ``(rows, columns, logits)`` until the output is covered."""
        side = max(int((TILE_VALUES / max(len(masks), 1))**0.5), 16)
        for rows, columns in self._grid(side):
            yield rows, columns, self.tile(masks, rows, columns)

    def bounded_tiles(self, masks: Tensor) -> Iterator[Tile]:
        """Yield tiles with bounds of the logits until the output is covered.

        What bilinear resizing gives lies between its sources. Most masks are
        far from 0 in most tiles, so that bounds settle what they do there,
        and their logits need not be made: `tile` makes those of the others.
        """
        side = max(int(max(self.output_size) * SHARE_OF_SIDE), SMALLEST_SIDE)
        if len(masks) == 0:
            return
        slack = ROUNDING * torch.stack(masks.aminmax()).abs().max().float()
        for rows, columns in self._grid(side):
            part = masks[:,
                         self._band(0, rows)[1],
                         self._band(1, columns)[1]].flatten(1)
            yield Tile(rows, columns,
                       part.amin(dim=1).float() - slack,
                       part.amax(dim=1).float() + slack)
