"""Query-text contrastive loss over the images of all processes."""
import math

import torch
import torch.distributed.nn as distributed_nn
import torch.nn as nn
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.dist import get_rank, get_world_size
from torch import Tensor


def gather_with_grad(x: Tensor) -> Tensor:
    """Join (B, D) of every process to (world B, D), gradients included."""
    if get_world_size() == 1:
        return x
    return torch.cat(distributed_nn.all_gather(x))


@MODELS.register_module()
class QueryTextContrastiveLoss(nn.Module):
    """Pull the queries of an image to its text queries (paper, equation 3).

    Queries and text queries of an image are each flattened to one unit
    vector; every image is then told apart from those of the global batch,
    from query to text and from text to query. Matches ``loss_contrastive``
    of the official ``SetCriterion``. One image on one process has nothing to
    be told apart from: its loss is 0.

    Args:
        loss_weight (float): Weight of the loss.
        temperature (float): Initial temperature. Its inverse is learnt, as
            exp(``logit_scale``), and clamped at ``max_scale``.
        max_scale (float): Largest inverse temperature.
    """

    def __init__(self,
                 loss_weight: float = 0.5,
                 temperature: float = 0.07,
                 max_scale: float = 100.) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.max_scale = max_scale
        self.logit_scale = nn.Parameter(torch.tensor(-math.log(temperature)))

    def forward(self, queries: Tensor, text_queries: Tensor) -> Tensor:
        """Weighted loss of the images of this process.

        Args:
            queries (Tensor): Task-conditioned queries, shape (B, N, C).
            text_queries (Tensor): Shape (B, N, C).
        """
        if queries.shape != text_queries.shape:
            raise ValueError(
                f'queries {tuple(queries.shape)} and text queries '
                f'{tuple(text_queries.shape)} must have one shape: num_texts '
                '+ num_context of the text mapper must be num_queries')
        with torch.autocast(queries.device.type, enabled=False):
            images = F.normalize(queries.float().flatten(1), dim=-1)
            texts = F.normalize(text_queries.float().flatten(1), dim=-1)
            scale = self.logit_scale.exp().clamp(max=self.max_scale)
            own = torch.arange(len(images), device=images.device)
            own = own + len(images) * get_rank()
            image_logits = scale * images @ gather_with_grad(texts).t()
            text_logits = scale * texts @ gather_with_grad(images).t()
            loss = F.cross_entropy(image_logits, own) + F.cross_entropy(
                text_logits, own)
        return self.loss_weight * loss
