"""Matching the predictions of a step with the ground truth, all at once."""
from typing import Iterable, List, Tuple

import torch
import torch.nn.functional as F
from mmdet.models.task_modules import CrossEntropyLossCost, HungarianAssigner
from mmdet.registry import TASK_UTILS
from mmengine.structures import InstanceData
from scipy.optimize import linear_sum_assignment
from torch import Tensor

#: Stands for a cost that is NaN or infinite: worse than any real one.
INVALID_COST = 1e6


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
    def costs(self, scores: Iterable[Tensor], point_logits: Iterable[Tensor],
              labels: Tensor, point_targets: Tensor) -> Tensor:
        """Costs between the queries of D predictions and M masks.

        One prediction after the other, so that ``point_logits`` may be made
        while they are read: those of all predictions would not fit the cache
        of a CPU, and take many times as long to make and read.

        Args:
            scores (Iterable[Tensor]): D class logits, shape (N, K + 1).
            point_logits (Iterable[Tensor]): D mask logits, shape (N, P).
            labels (Tensor): Labels of the masks, shape (M, ).
            point_targets (Tensor): Mask values, shape (M, P).

        Returns:
            Tensor: Float32 costs of shape (D, N, M).
        """
        truth = InstanceData(labels=labels, masks=point_targets)
        costs = []
        for score, logits in zip(scores, point_logits):
            prediction = InstanceData(
                scores=score.float(), masks=logits.float())
            costs.append(
                sum(
                    match_cost(pred_instances=prediction, gt_instances=truth)
                    for match_cost in self.match_costs))
        costs = torch.stack(costs).nan_to_num(INVALID_COST, INVALID_COST,
                                              INVALID_COST)
        return costs.clamp(-INVALID_COST, INVALID_COST)

    @staticmethod
    def match(costs: List[Tensor]) -> List[List[Tuple[Tensor, Tensor]]]:
        """Match every prediction of every image.

        Args:
            costs (list[Tensor]): Of each image, shape (D, N, M_i).

        Returns:
            list[list[tuple]]: ``[d][i]`` holds the matched query indices and
            mask indices of prediction d in image i, min(N, M_i) each, as
            tensors on the CPU. Masks are in rising order.
        """
        sizes = [cost.shape[-1] for cost in costs]
        images = torch.cat(costs, dim=-1).cpu().split(sizes, dim=-1)
        return [[_assign(image[d]) for image in images]
                for d in range(len(costs[0]))]


def _assign(cost: Tensor) -> Tuple[Tensor, Tensor]:
    """Queries and masks of the cheapest pairs of (N, M)."""
    masks, queries = linear_sum_assignment(cost.t())
    return torch.from_numpy(queries), torch.from_numpy(masks)
