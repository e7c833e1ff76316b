"""The pixel decoder as a graph of any image size."""
from typing import List, Sequence, Tuple

import torch
import torch.nn.functional as F
from mmcv.ops import MultiScaleDeformableAttention
from mmdet.models.layers import MSDeformAttnPixelDecoder
from torch import Tensor, nn

#: Height and width of each level.
Sizes = Sequence[Tuple[int, int]]


def _split_levels(x: Tensor, sizes: Sizes) -> Tuple[Tensor, ...]:
    """Cut (B, sum of h w, ...) into (B, h w, ...) of each level."""
    return x.split([height * width for height, width in sizes], dim=1)


class ExportableDeformableAttention(nn.Module):
    """``MultiScaleDeformableAttention`` for self-attention, on plain sizes.

    The original reads the sizes of the levels out of a tensor, which a graph
    cannot follow. Same parameters, same results.

    Args:
        attention (MultiScaleDeformableAttention): Batch first, without
            dropout in effect.
    """

    def __init__(self, attention: MultiScaleDeformableAttention) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, query: Tensor, query_pos: Tensor,
                reference_points: Tensor, spatial_shapes: Sizes,
                **kwargs) -> Tensor:
        """Attend to the points around each position of all levels.

        Args:
            query (Tensor): Features of all levels, shape (B, L, C).
            query_pos (Tensor): Their position encoding, (1, L, C).
            reference_points (Tensor): Where they lie, as x and y from 0 to 1,
                shape (L, 2).
            spatial_shapes (list[tuple[int, int]]): See `Sizes`.
            **kwargs: What the original needs besides.

        Returns:
            Tensor: Shape (B, L, C), ``query`` added.
        """
        attention = self.attention
        heads, points = attention.num_heads, attention.num_points
        levels = (heads, attention.num_levels)
        where = query + query_pos
        offsets = attention.sampling_offsets(where).unflatten(
            -1, (*levels, points, 2))
        weights = attention.attention_weights(where).unflatten(
            -1, (heads, -1)).softmax(-1)
        values = attention.value_proj(query).unflatten(-1, (heads, -1))
        samples = [
            self._sample(value, size, reference_points, offsets[:, :, :, i])
            for i, (value, size) in enumerate(
                zip(_split_levels(values, spatial_shapes), spatial_shapes))
        ]
        # (B heads, C / heads, L, levels points), weighed by (B heads, 1, ..)
        weights = weights.transpose(1, 2).flatten(0, 1).unsqueeze(1)
        attended = (torch.cat(samples, -1) * weights).sum(-1)
        attended = attended.unflatten(0, (-1, heads)).flatten(1, 2)
        return attention.output_proj(attended.transpose(1, 2)) + query

    @staticmethod
    def _sample(value: Tensor, size: Tuple[int, int], reference: Tensor,
                offsets: Tensor) -> Tensor:
        """Values of one level at the points of each position.

        Args:
            value (Tensor): Shape (B, h w, heads, C).
            size (tuple[int, int]): h and w.
            reference (Tensor): Shape (L, 2).
            offsets (Tensor): In pixels of the level, (B, L, heads, P, 2).

        Returns:
            Tensor: Shape (B heads, C, L, P).
        """
        height, width = size
        offsets = torch.stack(
            [offsets[..., 0] / width, offsets[..., 1] / height], dim=-1)
        grid = 2 * (reference[:, None, None] + offsets) - 1
        value = value.permute(0, 2, 3, 1).flatten(0, 1).unflatten(-1, size)
        return F.grid_sample(
            value, grid.transpose(1, 2).flatten(0, 1), align_corners=False)


class ExportablePixelDecoder(nn.Module):
    """``MSDeformAttnPixelDecoder`` whose sizes are numbers.

    The original keeps them in tensors and splits by them. Its modules are
    taken over, and its results are the same.

    Args:
        decoder (MSDeformAttnPixelDecoder): Its attention is replaced.
    """

    def __init__(self, decoder: MSDeformAttnPixelDecoder) -> None:
        super().__init__()
        for layer in decoder.encoder.layers:
            layer.self_attn = ExportableDeformableAttention(layer.self_attn)
        self.decoder = decoder

    def _encode(self, maps: Sequence[Tensor]) -> List[Tensor]:
        """Run the encoder on maps from low to high resolution."""
        decoder, sizes = self.decoder, [x.shape[-2:] for x in maps]
        features, encodings, points = [], [], []
        for i, (x, (height, width)) in enumerate(zip(maps, sizes)):
            features.append(decoder.input_convs[i](x).flatten(2))
            encoding = decoder.postional_encoding(
                x.new_zeros((1, height, width)))
            encodings.append(
                encoding.flatten(2) +
                decoder.level_encoding.weight[i][:, None])
            xs = (torch.arange(width, device=x.device) + 0.5) / width
            ys = (torch.arange(height, device=x.device) + 0.5) / height
            grid = [xs.expand(height, width), ys[:, None].expand(-1, width)]
            points.append(torch.stack(grid, dim=-1).flatten(0, 1))
        memory = decoder.encoder(
            query=torch.cat(features, 2).transpose(1, 2),
            query_pos=torch.cat(encodings, 2).transpose(1, 2),
            key_padding_mask=None,
            spatial_shapes=sizes,
            level_start_index=None,
            valid_ratios=None,
            reference_points=torch.cat(points))
        return [
            level.transpose(1, 2).unflatten(2, size)
            for level, size in zip(_split_levels(memory, sizes), sizes)
        ]

    def forward(self, feats: Sequence[Tensor]) -> Tuple[Tensor, List[Tensor]]:
        """Decode maps of a backbone, high resolution first.

        Args:
            feats (list[Tensor]): Each of shape (B, C, h, w).

        Returns:
            tuple: Mask features (B, C, h, w) of the highest resolution, and
            ``num_outs`` maps from low resolution to high.
        """
        decoder = self.decoder
        plain = decoder.num_input_levels - decoder.num_encoder_levels
        outs = self._encode(feats[plain:][::-1])
        for i in reversed(range(plain)):
            lateral = decoder.lateral_convs[i](feats[i])
            above = F.interpolate(
                outs[-1],
                lateral.shape[-2:],
                mode='bilinear',
                align_corners=False)
            outs.append(decoder.output_convs[i](lateral + above))
        return decoder.mask_feature(outs[-1]), outs[:decoder.num_outs]
