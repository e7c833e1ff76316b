"""Cases of the pixel decoder: its attention alone, and all of it."""
from pathlib import Path
from typing import Any, Callable, List, Tuple

import torch
from mmcv.ops.multi_scale_deform_attn import \
    multi_scale_deformable_attn_pytorch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from projects.oneformer.models.deformable_attention import weighted_points

from .comparison import alike, near
from .measure import Case, Contender, Workload
from .models import images, load_config

HEADS, POINTS, CHANNELS = 8, 4, 32
#: Pixels between the points of a query, as the initial offsets have them.
REACH = 3.


def sizes(workload: Workload) -> List[Tuple[int, int]]:
    """Of the maps, from low to high resolution."""
    height, width = workload.image_size
    return [(height // stride, width // stride) for stride in (32, 16, 8)]


def points(workload: Workload) -> List[Tensor]:
    """Values, points around each pixel, and their weights, of one image."""
    generator = torch.Generator().manual_seed(0)
    maps = sizes(workload)
    centres = torch.cat([
        torch.cartesian_prod((torch.arange(h) + 0.5) / h,
                             (torch.arange(w) + 0.5) / w).flip(1)
        for h, w in maps
    ])
    pixels, levels = len(centres), len(maps)
    shape = (1, pixels, HEADS, levels, POINTS)
    lengths = torch.tensor([(w, h) for h, w in maps])[:, None]
    offsets = REACH * torch.randn((*shape, 2), generator=generator) / lengths
    weights = torch.rand(shape, generator=generator)
    weights = weights / weights.sum(dim=(-1, -2), keepdim=True)
    tensors = (torch.randn((1, pixels, HEADS, CHANNELS), generator=generator),
               centres[None, :, None, None, None] + offsets, weights)
    return [x.to(workload.device).requires_grad_() for x in tensors]


def differentiate(function: Callable[[], List[Tensor]],
                  leaves: List[Tensor]) -> Callable[[], List[Tensor]]:
    """Outputs of a function, and the gradients of their squares."""

    def run():
        outputs = function()
        total = sum(output.square().sum() for output in outputs)
        return [*outputs, *torch.autograd.grad(total, leaves)]

    return run


def weighted_sums(workload: Workload, folder: Path) -> Callable[[], Any]:
    """Ours."""
    leaves = points(workload)
    heights, widths = map(list, zip(*sizes(workload)))
    return differentiate(lambda: [weighted_points(*leaves, heights, widths)],
                         leaves)


def sampled_copies(workload: Workload, folder: Path) -> Callable[[], Any]:
    """What mmcv does without its compiled operators."""
    value, locations, weights = leaves = points(workload)
    maps = sizes(workload)
    return differentiate(
        lambda:
        [multi_scale_deformable_attn_pytorch(value, maps, locations, weights)],
        leaves)


def decoder(workload: Workload, kind: str) -> nn.Module:
    """A pixel decoder with offsets that differ by pixel."""
    init_default_scope('mmdet')
    torch.manual_seed(0)
    head = load_config(workload).model.panoptic_head
    model = MODELS.build(
        dict(
            head.pixel_decoder,
            type=kind,
            in_channels=head.in_channels,
            feat_channels=head.feat_channels,
            out_channels=head.out_channels))
    torch.manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.05)
    return model.to(workload.device)


def decode(workload: Workload, kind: str) -> Callable[[], Any]:
    model = decoder(workload, kind)
    height, width = workload.image_size
    channels = load_config(workload).model.panoptic_head.in_channels
    pixels = images(workload, workload.batch)
    leaves = []
    for stride, number in zip((4, 8, 16, 32), channels):
        part = pixels[..., :height // stride, :width // stride]
        part = part.repeat(1, -(-number // 3), 1, 1)[:, :number]
        leaves.append(part.contiguous().requires_grad_())

    def forward():
        mask_features, maps = model(leaves)
        return [mask_features, *maps]

    return differentiate(forward, [*leaves, *model.parameters()])


def our_decoder(workload: Workload, folder: Path) -> Callable[[], Any]:
    return decode(workload, 'OneFormerPixelDecoder')


def their_decoder(workload: Workload, folder: Path) -> Callable[[], Any]:
    return decode(workload, 'MSDeformAttnPixelDecoder')


CASES = (
    Case('deformable-attention',
         'deformable sampling of a layer, with gradients',
         Contender('sums of rows', weighted_sums),
         Contender('mmcv in PyTorch', sampled_copies), 3., near),
    Case('pixel-decoder', 'pixel decoder, with gradients',
         Contender('ours', our_decoder), Contender('MMDetection',
                                                   their_decoder), 1.2, alike),
)
