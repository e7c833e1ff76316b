"""Resizing mask logits to the output, one tile at a time."""
from typing import Iterator, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

#: Values of a tile: small enough to stay in the cache, large enough that
#: the number of tiles does not matter.
TILE_VALUES = 1 << 21


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

    @staticmethod
    def _band(matrix: Tensor, part: slice) -> Tuple[Tensor, slice]:
        """Rows ``part`` of a matrix, cut to the columns that they use."""
        rows = matrix[part]
        used = rows.ne(0).any(dim=0).nonzero().flatten()
        columns = slice(int(used[0]), int(used[-1]) + 1)
        return rows[:, columns], columns

    def tile(self, masks: Tensor, rows: slice, columns: slice) -> Tensor:
        """Resized logits (Q, rows, columns) of ``masks`` (Q, h, w)."""
        vertical, source_rows = self._band(self._matrices[0], rows)
        horizontal, source_columns = self._band(self._matrices[1], columns)
        masks = masks[:, source_rows, source_columns].float()
        masks = vertical.to(masks) @ masks
        return masks @ horizontal.to(masks).t()

    def tiles(self, masks: Tensor) -> Iterator[Tuple[slice, slice, Tensor]]:
        """Yield ``(rows, columns, logits)`` until the output is covered."""
        height, width = self.output_size
        side = max(int((TILE_VALUES / max(len(masks), 1))**0.5), 16)
        for top in range(0, height, side):
            rows = slice(top, min(top + side, height))
            for left in range(0, width, side):
                columns = slice(left, min(left + side, width))
                yield rows, columns, self.tile(masks, rows, columns)
