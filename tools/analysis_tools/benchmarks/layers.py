"""Cases of single layers that a CPU computes in this project's own way."""
from pathlib import Path
from typing import Any, Callable

import torch
from mmcv.cnn.bricks.transformer import FFN
from mmdet.models.backbones import SwinTransformer
from torch import Tensor, nn

from projects.oneformer.models import OneFormerSwinTransformer
from projects.oneformer.models.feed_forward import ChunkedLayers
from projects.oneformer.models.linear import use_onednn
from projects.oneformer.models.winograd import WinogradConv2d

from .comparison import near
from .measure import Case, Contender, Workload
from .pixel_decoder import differentiate, sizes

CHANNELS, HIDDEN = 256, 1024
#: The first stage of Swin-T: two blocks, the second with shifted windows.
STAGE = dict(
    embed_dims=96,
    depths=(2, ),
    num_heads=(3, ),
    strides=(4, ),
    out_indices=(0, ),
    drop_path_rate=0.)


def apply(layer: nn.Module, x: Tensor,
          workload: Workload) -> Callable[[], Any]:
    """Outputs of a layer, and gradients of its input and parameters."""
    layer = layer.to(workload.device)
    x = x.to(workload.device).requires_grad_()
    return differentiate(lambda: [layer(x)], [x, *layer.parameters()])


def pixels(workload: Workload) -> Tensor:
    """What the encoder works on: the pixels of all levels, (N, C)."""
    number = sum(height * width for height, width in sizes(workload))
    return torch.randn(workload.batch * number, CHANNELS)


def projection(workload: Workload, by_onednn: bool) -> Callable[[], Any]:
    """A linear layer of the encoder, as the values take."""
    torch.manual_seed(0)
    layer = nn.Linear(CHANNELS, CHANNELS)
    if by_onednn:
        use_onednn(layer)
    return apply(layer, pixels(workload), workload)


def feed_forward(workload: Workload, chunked: bool) -> Callable[[], Any]:
    """The network of an encoder layer."""
    torch.manual_seed(0)
    network = FFN(CHANNELS, HIDDEN)
    if chunked:
        network.layers.__class__ = ChunkedLayers
    return apply(network, pixels(workload), workload)


def convolution(workload: Workload, kind: type) -> Callable[[], Any]:
    """The 3 x 3 convolution of the pixel decoder, channels together."""
    torch.manual_seed(0)
    layer = kind(CHANNELS, CHANNELS, 3, padding=1, bias=False)
    maps = torch.randn(workload.batch, CHANNELS,
                       *(side // 4 for side in workload.image_size))
    return apply(
        layer.to(memory_format=torch.channels_last),
        maps.contiguous(memory_format=torch.channels_last), workload)


def windows(workload: Workload, kind: type) -> Callable[[], Any]:
    """A stage of the backbone on the patches of the images."""
    torch.manual_seed(0)
    stage = kind(**STAGE).stages[0]
    for parameter in stage.parameters():
        nn.init.normal_(parameter, std=0.05)
    size = [side // 4 for side in workload.image_size]
    patches = torch.randn(workload.batch, size[0] * size[1],
                          STAGE['embed_dims'])

    class Attention(nn.Module):
        """Both blocks' attention, without the networks behind it."""

        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.ModuleList(block.attn for block in stage.blocks)

        def forward(self, x: Tensor) -> Tensor:
            for part in self.parts:
                x = part(x, size)
            return x

    return apply(Attention(), patches, workload)


def through_onednn(workload: Workload, folder: Path) -> Callable[[], Any]:
    return projection(workload, by_onednn=True)


def through_mkl(workload: Workload, folder: Path) -> Callable[[], Any]:
    return projection(workload, by_onednn=False)


def in_chunks(workload: Workload, folder: Path) -> Callable[[], Any]:
    return feed_forward(workload, chunked=True)


def at_once(workload: Workload, folder: Path) -> Callable[[], Any]:
    return feed_forward(workload, chunked=False)


def by_winograd(workload: Workload, folder: Path) -> Callable[[], Any]:
    return convolution(workload, WinogradConv2d)


def by_pytorch(workload: Workload, folder: Path) -> Callable[[], Any]:
    return convolution(workload, nn.Conv2d)


def gathered(workload: Workload, folder: Path) -> Callable[[], Any]:
    return windows(workload, OneFormerSwinTransformer)


def copied(workload: Workload, folder: Path) -> Callable[[], Any]:
    return windows(workload, SwinTransformer)


CASES = (
    Case('linear', 'linear layer of the encoder, with gradients',
         Contender('oneDNN', through_onednn),
         Contender('PyTorch', through_mkl), 1.05, near),
    Case('feed-forward', 'network of an encoder layer, with gradients',
         Contender('in chunks', in_chunks), Contender('mmcv', at_once), 1.1,
         near),
    Case('convolution', '3 x 3 convolution of the pixel decoder, with '
         'gradients', Contender('Winograd', by_winograd),
         Contender('PyTorch', by_pytorch), 1.2, near),
    Case('window-attention', 'attention of two Swin blocks, with gradients',
         Contender('gathered', gathered), Contender('MMDetection', copied),
         1.1, near),
)
