"""Deformable attention as weighted sums of the pixels around its points."""
from typing import Iterator, NamedTuple, Sequence, Tuple

import torch
import torch.nn.functional as F
from mmcv.ops import MultiScaleDeformableAttention, multi_scale_deform_attn
from torch import Tensor
from torch.library import custom_op

#: Points that are looked up at once: what is known of each stands in memory
#: for one chunk at a time, which the cache of a CPU can hold.
CHUNK_POINTS = 1 << 18
#: Zeros around a map. A point one pixel off the map or further is moved to
#: where both pixels next to it are zeros, and its slope is 0 as well.
BORDER = 2


class Points(NamedTuple):
    """P points a head of n queries on one level.

    ``rows``, int32 of shape (n, H, P), holds the places of the pixels top
    left of the points among those of `Level.with_border`, ``x`` and ``y`` how
    far the points are from these, 0 to 1.
    """
    rows: Tensor
    x: Tensor
    y: Tensor

    def bags(self) -> Tensor:
        """The rows of each sum, (n H, P)."""
        return self.rows.flatten(0, 1)

    def pixel_weights(self, weights: Tensor) -> Tuple[Tensor, ...]:
        """Weights of the pixels, in the order of `Level.corners`.

        From those of the points, (n, H, P); each of shape (n H, P).
        """
        low = weights * self.y
        top = weights - low
        low_right, top_right = low * self.x, top * self.x
        corners = top - top_right, top_right, low - low_right, low_right
        return tuple(corner.flatten(0, 1) for corner in corners)

    def gradients(self, corners: Sequence[Tensor],
                  weights: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """From gradients of `pixel_weights`, all (n, H, P).

        Returns:
            tuple[Tensor]: For the weights, and for the positions of the
            points in pixels, x and y.
        """
        top_left, top_right, low_left, low_right = corners
        top_slope, low_slope = top_right - top_left, low_right - low_left
        top, low = top_left + self.x * top_slope, low_left + self.x * low_slope
        return (top + self.y * (low - top),
                weights * (top_slope + self.y * (low_slope - top_slope)),
                weights * (low - top))


class Level(NamedTuple):
    """A map: its place among the levels and the pixels, and its size."""
    index: int
    pixels: slice
    height: int
    width: int

    @property
    def size(self) -> Tuple[int, int]:
        return self.height, self.width

    def corners(self, heads: int) -> Tuple[int, ...]:
        """How many rows behind its pixel top left each pixel of a point is.

        Top left, top right, low left and low right, of `with_border`.
        """
        line = (self.width + 2 * BORDER) * heads
        return 0, heads, line, line + heads

    def with_border(self, value: Tensor) -> Tensor:
        """Rows (pixels H, C) of the map with `BORDER`, of (sum h w, H, C)."""
        value = value[self.pixels].unflatten(0, self.size)
        return F.pad(value, (0, 0, 0, 0, *[BORDER] * 4)).flatten(0, 2)

    def without_border(self, rows: Tensor, heads: int) -> Tensor:
        """What `with_border` was given."""
        height, width = (side + 2 * BORDER for side in self.size)
        rows = rows.view(height, width, heads, -1)
        return rows[BORDER:-BORDER, BORDER:-BORDER].flatten(0, 1)

    def points(self, locations: Tensor) -> Points:
        """Look up points (n, H, V, P, 2), 0 to 1 on the maps of V levels."""
        parts, places = [], []
        for axis, length in enumerate((self.width, self.height)):
            position = locations[:, :, self.index, :, axis] * length - 0.5
            position = position.clamp_(-BORDER, length)
            before = position.floor()
            parts.append(position.sub_(before))
            # an integer again, since what is not a number is not clamped
            places.append(before.int().clamp_(-BORDER, length).add_(BORDER))
        heads = locations.shape[1]
        head = torch.arange(heads, dtype=torch.int32, device=locations.device)
        rows = places[1].mul_((self.width + 2 * BORDER) * heads)
        return Points(
            rows.add_(places[0].mul_(heads)).add_(head[:, None]), *parts)

    def chunks(self, locations: Tensor) -> Iterator[Tuple[slice, Points]]:
        """Yield queries of an image, and their `points`, in chunks."""
        number = len(locations)
        size = max(CHUNK_POINTS // locations[0, :, 0, :, 0].numel(), 1)
        for start in range(0, number, size):
            queries = slice(start, min(start + size, number))
            yield queries, self.points(locations[queries])


def _levels(heights: Sequence[int], widths: Sequence[int]) -> Iterator[Level]:
    start = 0
    for index, (height, width) in enumerate(zip(heights, widths)):
        end = start + height * width
        yield Level(index, slice(start, end), height, width)
        start = end


@custom_op('oneformer::weighted_points', mutates_args=())
def weighted_points(value: Tensor, locations: Tensor, weights: Tensor,
                    heights: Sequence[int], widths: Sequence[int]) -> Tensor:
    """Weighted sums of bilinear samples, as mmcv's deformable attention.

    Equal to ``multi_scale_deformable_attn_pytorch``, which copies the sampled
    values, P V times as many as there are; here each query is one weighted
    sum of the rows of ``value`` around its points, level by level and corner
    by corner, and these are looked up again for the gradients. The gain is in
    docs/benchmarks.md.

    Args:
        value (Tensor): Of all levels one after the other, shape
            (B, sum of h w, H, C).
        locations (Tensor): x and y of the points, 0 to 1 on the map, shape
            (B, L, H, V, P, 2).
        weights (Tensor): Of the points, shape (B, L, H, V, P).
        heights, widths (list[int]): Of the V levels.

    Returns:
        Tensor: Shape (B, L, H C).
    """
    out = value.new_zeros((*locations.shape[:3], value.shape[-1]))
    for level in _levels(heights, widths):
        for pixels, places, shares, sums in zip(value, locations, weights,
                                                out):
            rows = level.with_border(pixels)
            for queries, points in level.chunks(places):
                share = points.pixel_weights(shares[queries, :,
                                                    level.index].contiguous())
                for corner, weight in zip(level.corners(len(sums[0])), share):
                    sums[queries] += F.embedding_bag(
                        points.bags(),
                        rows[corner:],
                        per_sample_weights=weight,
                        mode='sum').view_as(sums[queries])
    return out.flatten(2)


@weighted_points.register_fake
def _(value, locations, weights, heights, widths):
    return value.new_empty((*locations.shape[:2], value.shape[2:].numel()))


@custom_op('oneformer::weighted_points_backward', mutates_args=())
def _backward(grad: Tensor, value: Tensor, locations: Tensor, weights: Tensor,
              heights: Sequence[int],
              widths: Sequence[int]) -> Tuple[Tensor, Tensor, Tensor]:
    """Gradients of `weighted_points` for its first three arguments."""
    grads = _empty_like(value, locations, weights)
    grad = grad.view(*locations.shape[:3], -1)
    for level in _levels(heights, widths):
        for image in zip(grad, value, locations, weights, *grads):
            _level_backward(level, *image)
    return grads


@_backward.register_fake
def _(grad, value, locations, weights, heights, widths):
    return _empty_like(value, locations, weights)


def _empty_like(*tensors: Tensor) -> Tuple[Tensor, ...]:
    return tuple(
        torch.empty_like(x, memory_format=torch.contiguous_format)
        for x in tensors)


def _level_backward(level: Level, grad: Tensor, value: Tensor,
                    locations: Tensor, weights: Tensor, value_grad: Tensor,
                    location_grad: Tensor, weight_grad: Tensor) -> None:
    """Write the gradients of a level and an image, which has no batch axis."""
    pixels, corners = level.with_border(value), level.corners(value.shape[1])
    rows, shares = [], []
    for queries, points in level.chunks(locations):
        weight = weights[queries, :, level.index].contiguous()
        rows.append(points.bags())
        shares.append(torch.stack(points.pixel_weights(weight)))
        upstream = grad[queries].flatten(0, 1)
        weight_grad[queries, :, level.index], x, y = points.gradients([
            _products(upstream, pixels[corner:], rows[-1]).view_as(weight)
            for corner in corners
        ], weight)
        location_grad[queries, :, level.index] = torch.stack(
            [x * level.width, y * level.height], dim=-1)
    pixel_grad = _pixel_grad(
        grad.flatten(0, 1), torch.cat(rows), torch.cat(shares, dim=1), corners,
        len(pixels))
    value_grad[level.pixels] = level.without_border(pixel_grad, value.shape[1])


def _products(grad: Tensor, pixels: Tensor, rows: Tensor) -> Tensor:
    """Products of vectors (n, C) with the ``pixels`` at rows (n, K)."""
    number, per_query = rows.shape
    starts = torch.arange(number, dtype=rows.dtype, device=rows.device)
    return torch.ops.aten._embedding_bag_per_sample_weights_backward(
        grad, pixels, rows.flatten(), starts * per_query,
        starts.repeat_interleave(per_query), 0)


def _pixel_grad(grad: Tensor, rows: Tensor, shares: Tensor,
                corners: Sequence[int], number: int) -> Tensor:
    """Gradient of the pixels of a level, (number, C).

    That of a pixel is a weighted sum of the gradients of the queries that it
    is part of: with the points in the order of their pixels, once more a sum
    of rows. All four pixels of the points are in that order.

    Args:
        grad (Tensor): Of the n sums, (n, C).
        rows (Tensor): The pixels top left, (n, P).
        shares (Tensor): Weights of the four pixels, (4, n, P).
        corners (tuple[int]): See `Level.corners`.
        number (int): Of the pixels.
    """
    order, places = rows.flatten().sort()
    first = torch.searchsorted(
        order,
        torch.arange(number, dtype=order.dtype, device=order.device),
        out_int32=True)
    queries = (places // rows.shape[1]).int()
    out = grad.new_zeros((number, grad.shape[1]))
    shares = shares.flatten(1).gather(1, places.expand(len(shares), -1))
    for corner, share in zip(corners, shares):
        out[corner:] += F.embedding_bag(
            queries, grad, first, per_sample_weights=share,
            mode='sum')[:number - corner]
    return out


def _keep_inputs(ctx, inputs, output) -> None:
    *tensors, ctx.heights, ctx.widths = inputs
    ctx.save_for_backward(*tensors)


def _gradients(ctx, grad: Tensor):
    grads = _backward(grad.contiguous(), *ctx.saved_tensors, ctx.heights,
                      ctx.widths)
    return (*grads, None, None)


weighted_points.register_autograd(_gradients, setup_context=_keep_inputs)


def _softmax_of_few(logits: Tensor) -> Tensor:
    """Softmax over a last axis of a dozen values.

    A CPU takes a third of the time where these stand apart in memory.
    """
    return logits.flatten(0, -2).t().softmax(0).t().view_as(logits)


class DeformableSelfAttention(MultiScaleDeformableAttention):
    """mmcv's deformable attention of maps on themselves, batch first.

    Its parameters and results. The sizes of the maps are plain numbers, with
    which nothing waits for a GPU and a graph can be traced.
    """

    def forward(self, query: Tensor, query_pos: Tensor,
                reference_points: Tensor,
                spatial_shapes: Sequence[Tuple[int, int]]) -> Tensor:
        """Attend to the points around each pixel, on all maps.

        Args:
            query (Tensor): Pixels of all maps, shape (B, L, C).
            query_pos (Tensor): Their position encodings, (1, L, C).
            reference_points (Tensor): Their places, x and y, 0 to 1 on their
                map, shape (L, 2).
            spatial_shapes (list[tuple[int, int]]): Heights and widths.

        Returns:
            Tensor: Shape (B, L, C), ``query`` added.
        """
        points = (self.num_heads, self.num_levels, self.num_points)
        where = query + query_pos
        offsets = self.sampling_offsets(where).unflatten(-1, (*points, 2))
        weights = self.attention_weights(where).unflatten(
            -1, (self.num_heads, -1))
        weights = _softmax_of_few(weights).unflatten(-1, points[1:])
        value = self.value_proj(query).unflatten(-1, (self.num_heads, -1))
        # from pixels of a level to parts of it
        x, y = (axis.unbind(3) for axis in offsets.unbind(-1))
        offsets = torch.stack([
            torch.stack([x[i] / width, y[i] / height], dim=-1)
            for i, (height, width) in enumerate(spatial_shapes)
        ], 3)
        locations = reference_points[:, None, None, None] + offsets
        attended = self.sample(value, spatial_shapes, locations, weights)
        return self.dropout(self.output_proj(attended)) + query

    def sample(self, value: Tensor, sizes: Sequence[Tuple[int, int]],
               locations: Tensor, weights: Tensor) -> Tensor:
        """Weighted sums of samples; see `weighted_points`.

        A GPU takes mmcv's kernel, or what stands for it.
        """
        if value.device.type == 'cpu':
            return weighted_points(value, locations, weights, *zip(*sizes))
        if not value.is_cuda:
            return self.sample_on_grid(value, sizes, locations, weights)
        maps = torch.tensor(sizes, device=value.device)
        pixels = maps.prod(dim=1)
        return multi_scale_deform_attn.MultiScaleDeformableAttnFunction.apply(
            value, maps,
            pixels.cumsum(0) - pixels, locations, weights.contiguous(),
            self.im2col_step)

    def sample_on_grid(self, value: Tensor, sizes: Sequence[Tuple[int, int]],
                       locations: Tensor, weights: Tensor) -> Tensor:
        """`sample` by operators that every runtime has."""
        return multi_scale_deform_attn.multi_scale_deformable_attn_pytorch(
            value, sizes, locations, weights)
