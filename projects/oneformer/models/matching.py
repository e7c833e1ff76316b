"""Matching the predictions of a step with the ground truth, all at once."""
from typing import List, Tuple

import torch
import torch.nn.functional as F
from mmdet.models.task_modules import CrossEntropyLossCost, HungarianAssigner
from mmdet.registry import TASK_UTILS
from mmengine.structures import InstanceData
from scipy.optimize import linear_sum_assignment
from torch import Tensor

#: Stands for a cost that is NaN or infinite: worse than any real one.
INVALID_COST = 1e6


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


@TASK_UTILS.register_module()
class MaskPointCost(CrossEntropyLossCost):
    """Binary cross entropy cost of mask logits at points.

    The cost of ``CrossEntropyLossCost`` with one pass over the logits in
    place of four: BCE(x, y) = softplus(x) - x y.
    """

    def _binary_cross_entropy(self, cls_pred: Tensor,
                              gt_labels: Tensor) -> Tensor:
        logits = cls_pred.flatten(1).float()
        targets = gt_labels.flatten(1).float()
        cost = F.softplus(logits).sum(1, keepdim=True) - logits @ targets.t()
        return cost / logits.shape[1]


@TASK_UTILS.register_module()
class BatchHungarianAssigner(HungarianAssigner):
    """Hungarian matching of several predictions and images in one go.

    Costs are taken in float32, since they overflow in half precision, and
    those that are not finite count as `INVALID_COST`, so that a diverging
    prediction stays unmatched in place of ending the run. They travel to the
    CPU in one transfer.
    """

    @torch.no_grad()
    def costs(self, scores: Tensor, point_logits: Tensor, labels: Tensor,
              point_targets: Tensor) -> Tensor:
        """Costs between the queries of D predictions and M masks.

        Args:
            scores (Tensor): Class logits, shape (D, N, K + 1).
            point_logits (Tensor): Mask logits, shape (D, N, P).
            labels (Tensor): Labels of the masks, shape (M, ).
            point_targets (Tensor): Mask values, shape (M, P).

        Returns:
            Tensor: Float32 costs of shape (D, N, M).
        """
        predictions = InstanceData(
            scores=scores.float().flatten(0, 1),
            masks=point_logits.float().flatten(0, 1))
        truth = InstanceData(labels=labels, masks=point_targets)
        cost = sum(
            match_cost(pred_instances=predictions, gt_instances=truth)
            for match_cost in self.match_costs)
        cost = cost.nan_to_num(INVALID_COST, INVALID_COST, INVALID_COST)
        return cost.clamp(-INVALID_COST,
                          INVALID_COST).unflatten(0, scores.shape[:2])

    @staticmethod
    def match(costs: List[Tensor]) -> List[List[Tuple[Tensor, Tensor]]]:
        """Match every prediction of every image.

        Args:
            costs (list[Tensor]): Of each image, shape (D, N, M_i).

        Returns:
            list[list[tuple]]: ``[d][i]`` holds the matched query indices and
            mask indices of prediction d in image i, min(N, M_i) each, as
            tensors on the CPU.
        """
        sizes = [cost.shape[-1] for cost in costs]
        images = torch.cat(costs, dim=-1).cpu().split(sizes, dim=-1)
        return [[
            tuple(
                torch.from_numpy(index)
                for index in linear_sum_assignment(image[d]))
            for image in images
        ] for d in range(len(costs[0]))]
