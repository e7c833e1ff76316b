"""Neighborhood attention as a graph of one image size."""
from typing import List

import torch
import torch.nn.functional as F
from torch import Tensor

from ..models.neighborhood_attention import MapTiles, map_tiles


class ExportableNeighborhoodAttention:
    """`neighborhood_attention` with its tiles as constants, out of place.

    The tiles are those of the last call outside of a trace, which must have
    had the same size.
    """

    def __init__(self) -> None:
        self._tiles: List[MapTiles] = []
        self._order = torch.empty(0)

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, rpb: Tensor,
                 kernel_size: int, dilation: int) -> Tensor:
        """See `neighborhood_attention`."""
        if not torch.compiler.is_exporting():
            self._tiles = list(map_tiles(query, key, kernel_size, dilation))
            places = [tiles.query.flatten() for tiles in self._tiles]
            self._order = torch.cat(places).argsort()
        scaled = query * query.shape[-1]**-0.5
        maps = [x.flatten(0, 2) for x in (scaled, key, value)]
        table = F.pad(rpb, (0, 1, 0, 1), value=-torch.inf).flatten(1)
        attended = [self._attend(*maps, table, tile) for tile in self._tiles]
        return torch.cat(attended)[self._order].view(query.shape)

    @staticmethod
    def _attend(query: Tensor, key: Tensor, value: Tensor, table: Tensor,
                tiles: MapTiles) -> Tensor:
        """Attended values of the queries of some tiles.

        Args:
            query, key, value (Tensor): Shape (positions, heads, C).
            table (Tensor): Biases, shape (heads, offsets).
            tiles (MapTiles): N tiles of T queries.

        Returns:
            Tensor: Shape (N T, heads, C).
        """
        # plain products, as the strides of a fused attention differ by
        # backend and a graph would keep those seen here
        query = query[tiles.query].transpose(1, 2)
        key, value = (x[tiles.key].transpose(1, 2) for x in (key, value))
        scores = query @ key.mT + table[:, tiles.bias]
        return (scores.softmax(-1) @ value).transpose(1, 2).flatten(0, 1)
