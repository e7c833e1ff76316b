"""Pixel decoder whose sizes are plain numbers."""
from typing import List, Sequence, Tuple

import torch
import torch.nn.functional as F
from mmdet.models.layers import MSDeformAttnPixelDecoder
from mmdet.registry import MODELS
from mmdet.utils import ConfigType
from torch import Tensor, nn

from .deformable_attention import DeformableSelfAttention
from .feed_forward import ChunkedLayers
from .winograd import WinogradConv2d


@MODELS.register_module()
class OneFormerPixelDecoder(MSDeformAttnPixelDecoder):
    """``MSDeformAttnPixelDecoder`` on parts that are made for a CPU.

    These are `DeformableSelfAttention`, `ChunkedLayers`, `WinogradConv2d`.
    Its modules, parameters and results. The original keeps the sizes of maps
    in tensors and splits by them, which makes a GPU wait and cannot be
    traced.

    Args:
        encoder (dict): Config of ``Mask2FormerTransformerEncoder``.
        **kwargs: Of ``MSDeformAttnPixelDecoder``.
    """

    def __init__(self, encoder: ConfigType, **kwargs) -> None:
        super().__init__(encoder=encoder, **kwargs)
        for layer in self.encoder.layers:
            layer.self_attn = DeformableSelfAttention(**layer.self_attn_cfg)
            # the same state, another forward pass
            layer.ffn.layers.__class__ = ChunkedLayers
        for block in self.output_convs:
            block.conv.__class__ = WinogradConv2d

    def _encode(self, maps: Sequence[Tensor]) -> List[Tensor]:
        """Run the encoder on maps from low to high resolution."""
        sizes = [x.shape[-2:] for x in maps]
        features, encodings, points = [], [], []
        for i, (x, (height, width)) in enumerate(zip(maps, sizes)):
            features.append(self.input_convs[i](x).flatten(2))
            encoding = self.postional_encoding(x.new_zeros((1, height, width)))
            encodings.append(
                encoding.flatten(2) + self.level_encoding.weight[i][:, None])
            xs = (torch.arange(width, device=x.device) + 0.5) / width
            ys = (torch.arange(height, device=x.device) + 0.5) / height
            grid = [xs.expand(height, width), ys[:, None].expand(-1, width)]
            points.append(torch.stack(grid, dim=-1).flatten(0, 1))
        memory = torch.cat(features, 2).transpose(1, 2)
        positions = torch.cat(encodings, 2).transpose(1, 2)
        for layer in self.encoder.layers:
            memory = self._layer(layer, memory, positions, torch.cat(points),
                                 sizes)
        pixels = [height * width for height, width in sizes]
        return [
            level.unflatten(1, size).permute(0, 3, 1, 2)
            for level, size in zip(memory.split(pixels, dim=1), sizes)
        ]

    @staticmethod
    def _layer(layer: nn.Module, memory: Tensor, positions: Tensor,
               points: Tensor, sizes: Sequence[Tuple[int, int]]) -> Tensor:
        """One encoder layer on (B, L, C), equal to ``layer``.

        Its feed-forward network works on (B L, C): what a linear layer gives
        for more dimensions is a view, and autograd copies views that an
        activation changes in place.
        """
        attended = layer.self_attn(memory, positions, points, sizes)
        x = layer.norms[0](attended).flatten(0, 1)
        return layer.norms[1](layer.ffn(x)).view_as(memory)

    def forward(self, feats: Sequence[Tensor]) -> Tuple[Tensor, List[Tensor]]:
        """Decode the maps of a backbone.

        In memory the channels of a pixel stand together, as the encoder has
        them, so that what comes after it need not rearrange maps: on two CPU
        cores that is a third less time.

        Args:
            feats (list[Tensor]): High resolution first, (B, C, h, w) each.

        Returns:
            tuple: Mask features (B, C, h, w) of the highest resolution, and
            ``num_outs`` maps from low resolution to high.
        """
        plain = self.num_input_levels - self.num_encoder_levels
        outs = self._encode(feats[plain:][::-1])
        for i in reversed(range(plain)):
            lateral = self.lateral_convs[i](
                feats[i].contiguous(memory_format=torch.channels_last))
            above = F.interpolate(
                outs[-1],
                lateral.shape[-2:],
                mode='bilinear',
                align_corners=False)
            outs.append(self.output_convs[i](lateral + above))
        return self.mask_feature(outs[-1]), outs[:self.num_outs]
