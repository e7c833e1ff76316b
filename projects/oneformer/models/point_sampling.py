"""Points for matching and losses, and the values of masks there."""
from typing import Callable, Tuple

import torch
import torch.nn.functional as F
from mmcv.ops import point_sample
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from .linear import product

#: Predictions whose masks are made at once for the losses. Those of one are
#: few rows for a matrix product; those of four, at 1/4 scale, are one byte for
#: each pixel and mask.
MASKS_AT_ONCE = 4


class PointSampler:
    """Random points of M masks, most of them where masks are least certain.

    The points of ``get_uncertain_point_coords_with_randomness`` in another
    order, which costs it a sort. The candidates are drawn once and serve all
    predictions of the masks, each of which sees points of that distribution.

    Args:
        number (int): Number M of masks.
        num_points (int): Points P of each mask.
        oversample_ratio (float): Candidates for each point.
        importance_sample_ratio (float): Share of the points that are the
            candidates with the smallest absolute logits. The others are
            random.
        device (torch.device): Where the points are.
    """

    def __init__(self, number: int, num_points: int, oversample_ratio: float,
                 importance_sample_ratio: float, device: torch.device) -> None:
        self._chosen = int(num_points * importance_sample_ratio)
        candidates = int(num_points * oversample_ratio)
        self._candidates = torch.rand(number, candidates, 2, device=device)
        self._others = torch.rand(
            number, num_points - self._chosen, 2, device=device)
        self._grid = 2 * self._candidates - 1

    @torch.no_grad()
    def __call__(self, logits: Tensor) -> Tensor:
        """Points (x, y) in [0, 1], (M, P, 2), for mask logits (M, h, w)."""
        values = F.grid_sample(
            logits[:, None], self._grid[:, None], align_corners=False)[:, 0, 0]
        index = values.abs_().topk(
            self._chosen, dim=1, largest=False, sorted=False).indices
        points = self._candidates.gather(1, index[..., None].expand(-1, -1, 2))
        return torch.cat([points, self._others], dim=1)


def sample_masks(masks: Tensor, points: Tensor) -> Tensor:
    """Bilinear values of binary masks at points.

    Equal to ``mmcv.ops.point_sample`` of the masks as floats, which would
    need four bytes for each of their pixels.

    Args:
        masks (Tensor): Bool or uint8 masks of shape (M, H, W).
        points (Tensor): Points (x, y) in [0, 1], shape (M or 1, P, 2).

    Returns:
        Tensor: Float tensor of shape (M, P).
    """
    height, width = masks.shape[-2:]
    masks = masks.flatten(1)
    x, y = (points * points.new_tensor([width, height]) - 0.5).unbind(-1)
    left, top = x.floor(), y.floor()
    values = 0.
    for col, col_weight in ((left, left + 1 - x), (left + 1, x - left)):
        for row, row_weight in ((top, top + 1 - y), (top + 1, y - top)):
            inside = (col >= 0) & (col < width) & (row >= 0) & (row < height)
            # float32 cannot count the pixels of the largest masks
            index = (row.clamp(0, height - 1).long() * width +
                     col.clamp(0, width - 1).long()).expand(len(masks), -1)
            values = values + masks.gather(1, index) * (
                col_weight * row_weight * inside)
    return values


class _PredictedMasks(Function):
    """`sample_predictions`, with the masks of few predictions in memory."""

    @staticmethod
    def forward(ctx, embeds: Tensor, features: Tensor,
                choose: Callable[[Tensor], Tensor]) -> Tuple[Tensor, Tensor]:
        pixels = features.flatten(1)
        values, points = [], []
        for some in embeds.split(MASKS_AT_ONCE):
            for logits in product(some.flatten(0, 1),
                                  pixels.t()).view(*some.shape[:2],
                                                   *features.shape[1:]):
                points.append(choose(logits))
                values.append(point_sample(logits[:, None], points[-1])[:, 0])
        points = torch.stack(points)
        ctx.save_for_backward(embeds, features, points)
        ctx.mark_non_differentiable(points)
        return torch.stack(values), points

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor, _: None):
        embeds, features, points = ctx.saved_tensors
        pixels = features.flatten(1)
        embeds_grad = torch.empty_like(embeds)
        pixels_grad = torch.zeros_like(pixels)
        for some in zip(*(x.split(MASKS_AT_ONCE)
                          for x in (embeds, embeds_grad, points, grad))):
            embed, embed_grad, point, value_grad = (
                x.flatten(0, 1) for x in some)
            # sampling is linear, so that any logits have its gradient
            logits = grad.new_zeros(
                ()).expand(len(embed), 1,
                           *features.shape[1:]).requires_grad_()
            with torch.enable_grad():
                values = point_sample(logits, point)[:, 0]
            logits_grad, = torch.autograd.grad(values, logits, value_grad)
            logits_grad = logits_grad.flatten(1)
            embed_grad.copy_(product(logits_grad, pixels))
            pixels_grad.addmm_(embed.t(), logits_grad)
        return embeds_grad, pixels_grad.view_as(features), None


def sample_predictions(
        embeds: Tensor, features: Tensor,
        choose: Callable[[Tensor], Tensor]) -> Tuple[Tensor, Tensor]:
    """Bilinear values of predicted masks at points.

    The masks of a few predictions after the other are made, here and for the
    gradients, and none is kept.

    Args:
        embeds (Tensor): Mask embeddings of D predictions, (D, M, C).
        features (Tensor): Mask features of the image, shape (C, h, w).
        choose (callable): Gives points (M, P, 2), as x and y in [0, 1], for
            mask logits (M, h, w).

    Returns:
        tuple[Tensor]: Mask logits (D, M, P) at the points, and the points,
        (D, M, P, 2).
    """
    return _PredictedMasks.apply(embeds, features, choose)
