"""The stages of a OneFormer, each run on tensors without values to count it.

Inside of a ``FakeTensorMode``, except `postprocess`.
"""
from typing import NamedTuple, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..models import (OneFormer, OneFormerFusionHead, OneFormerHead,
                      QueryFormation)
from ..models.attention import KeyValue, attend, project_key_value
from ..models.feed_forward import ChunkedLayers
from ..models.mask_resize import MaskResizer
from ..models.neighborhood_attention import NeighborhoodAttention
from ..models.oneformer_head import ImageMemory
from ..models.swin import WindowAttention
from ..models.winograd import WinogradConv2d
from .counter import MultiplyAddCounter

#: Height and width in pixels.
Size = Tuple[int, int]

#: Operators that are told apart.
SAMPLING = 'oneformer.weighted_points'
NEIGHBORHOOD = 'neighborhood attention'


class Sizes(NamedTuple):
    """Sizes of the image, of the network's input, and of the results."""
    image: Size
    padded: Size
    output: Size


def make_countable(model: OneFormer, counter: MultiplyAddCounter) -> None:
    """Let a model from the meta device run on tensors without values.

    They look like tensors on a CPU, since autocasting knows no meta device.
    What depends on values or on this project's own way of computing a
    neighborhood is replaced. Layers that a CPU computes in another way are
    counted as the layers that they are equal to.
    """

    def attend(query: Tensor, key: Tensor, value: Tensor, rpb: Tensor,
               kernel_size: int, dilation: int) -> Tensor:
        """`neighborhood_attention`: scores of K x K keys, and their sum."""
        counter.add(NEIGHBORHOOD, 2 * query.numel() * kernel_size**2)
        return torch.empty_like(query)

    for module in model.backbone.modules():
        if isinstance(module, NeighborhoodAttention):
            module.attend = attend
    use_plain_layers(model)
    model.to_empty(device='cpu').eval()


def use_plain_layers(model: OneFormer) -> None:
    """Compute layers as those of MMDetection that they are equal to."""
    for module in model.modules():
        if isinstance(module,
                      (ChunkedLayers, WindowAttention, WinogradConv2d)):
            module.forward = super(type(module), module).forward


def encode(model: OneFormer, size: Size,
           counter: MultiplyAddCounter) -> ImageMemory:
    image = torch.empty((1, 3, *size))
    with counter, counter.part('backbone'):
        features = model.extract_feat(image)
    with counter, counter.part('pixel_decoder'):
        return model.panoptic_head.encode(features)


def decode(head: OneFormerHead,
           memory: ImageMemory,
           tasks: Sequence[str],
           counter: MultiplyAddCounter,
           officially: bool = False) -> Tensor:
    """What `OneFormerHead.predict` does after encoding.

    ``officially`` with projections of every pixel for every layer that forms
    queries, and with class scores and full masks before the first and after
    each layer of the mask decoder, from which the attention masks are
    resized.

    Returns:
        Tensor: Mask logits, shape (1, T * N, h, w).
    """

    def attention_mask(mask_embed: Tensor, level_mask: Tensor) -> Tensor:
        with counter.part('masks'):
            if not officially:
                return type(head)._attention_mask(head, mask_embed, level_mask)
            # the number of values is all that counts
            return F.interpolate(
                _full_masks(mask_embed, memory), (1, level_mask.shape[-1]),
                mode='bilinear').flatten(2) >= 0

    def project(attention: nn.MultiheadAttention, features: Tensor,
                positions: Tuple[Tensor, Tensor]) -> KeyValue:
        return project_key_value(attention, features, features)

    head._attention_mask = attention_mask
    formation = head.query_formation
    with counter, counter.part('query_formation'):
        if officially and isinstance(formation, QueryFormation):
            formation.feature_proj(memory.mask_features)
            formation._memory, formation._attend = project, attend
        queries = head.form_queries(memory, [tasks])
    for name in ('_memory', '_attend'):
        vars(formation).pop(name, None)
    with counter, counter.part('mask_decoder'):
        predictions = head.decode(memory, queries, all_stages=officially)
    with counter, counter.part('masks'):
        return _full_masks(predictions.mask_embeds[-1], memory)


def _full_masks(mask_embed: Tensor, memory: ImageMemory) -> Tensor:
    return torch.einsum('bqc,bchw->bqhw', mask_embed, memory.mask_features)


def postprocess_officially(masks: Tensor, num_classes: int, sizes: Sizes,
                           counter: MultiplyAddCounter) -> None:
    """Official ``OneFormer.forward`` and ``semantic_inference``.

    Args:
        masks (Tensor): Mask logits, shape (1, N, h, w).
    """
    scores = torch.empty((masks.shape[1], num_classes))
    height, width = sizes.image
    with counter, counter.part('post_processing'):
        masks = F.interpolate(masks, sizes.padded, mode='bilinear')
        masks = F.interpolate(
            masks[..., :height, :width], sizes.output, mode='bilinear')
        torch.einsum('qc,qhw->chw', scores, masks[0].sigmoid())


def postprocess(fusion_head: OneFormerFusionHead, masks: torch.Size,
                tasks: Sequence[str], sizes: Sizes,
                counter: MultiplyAddCounter) -> None:
    """What `OneFormerFusionHead` does for the tasks where nothing is settled.

    What masks can be in a tile decides how many of them are resized there;
    here it is all of them.

    Args:
        masks (torch.Size): The shape of the mask logits, (1, N, h, w).
    """
    resizer = MaskResizer(masks[2:], sizes.padded, sizes.image, sizes.output)
    mask_logits = torch.empty(masks[1:], device='meta')
    mask_cls = torch.empty((masks[1], fusion_head.num_classes + 1),
                           device='meta')
    with counter, counter.part('post_processing'):
        for task in tasks:
            if task == 'semantic':
                tiles = fusion_head.semantic_tiles(mask_cls, mask_logits,
                                                   resizer)
            else:
                # then pointwise operators on the surviving queries' masks
                tiles = resizer.tiles(mask_logits)
            for _ in tiles:
                pass
