"""DiNAT: a hierarchical transformer of dilated neighborhood attention."""
from typing import List, Optional, Sequence, Tuple, Union

import torch.nn as nn
import torch.utils.checkpoint as cp
from mmcv.cnn.bricks import DropPath
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor

from .neighborhood_attention import NeighborhoodAttention


class ConvTokenizer(nn.Module):
    """Two convolutions of stride 2: (B, 3, H, W) -> (B, H/4, W/4, C)."""

    def __init__(self, in_channels: int, embed_dims: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(
            nn.Conv2d(in_channels, embed_dims // 2, 3, stride=2, padding=1),
            nn.Conv2d(embed_dims // 2, embed_dims, 3, stride=2, padding=1))
        self.norm = nn.LayerNorm(embed_dims)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.proj(x).permute(0, 2, 3, 1))


class ConvDownsampler(nn.Module):
    """Halve the map and double the channels of (B, H, W, C)."""

    def __init__(self, embed_dims: int) -> None:
        super().__init__()
        self.reduction = nn.Conv2d(
            embed_dims, 2 * embed_dims, 3, stride=2, padding=1, bias=False)
        self.norm = nn.LayerNorm(2 * embed_dims)

    def forward(self, x: Tensor) -> Tensor:
        x = self.reduction(x.permute(0, 3, 1, 2))
        return self.norm(x.permute(0, 2, 3, 1))


class MLP(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, embed_dims: int, hidden_dims: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(embed_dims, hidden_dims)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden_dims, embed_dims)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


class NATLayer(nn.Module):
    """Pre-norm transformer layer on (B, H, W, C)."""

    def __init__(self, embed_dims: int, num_heads: int, kernel_size: int,
                 dilation: int, mlp_ratio: float, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(embed_dims)
        self.attn = NeighborhoodAttention(embed_dims, num_heads, kernel_size,
                                          dilation)
        self.norm2 = nn.LayerNorm(embed_dims)
        self.mlp = MLP(embed_dims, int(embed_dims * mlp_ratio))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class NATBlock(nn.Module):
    """The layers of one level, and the way to the next one if there is one.

    Args:
        embed_dims (int): Channels of the level.
        num_heads (int): Attention heads.
        kernel_size (int): Keys per axis of a window.
        dilations (Sequence[int]): One for each layer.
        mlp_ratio (float): Hidden channels of the MLPs by ``embed_dims``.
        drop_path_rates (Sequence[float]): One for each layer.
        downsample (bool): Whether a level follows.
        with_cp (bool): Whether layers are recomputed when backward.
    """

    def __init__(self, embed_dims: int, num_heads: int, kernel_size: int,
                 dilations: Sequence[int], mlp_ratio: float,
                 drop_path_rates: Sequence[float], downsample: bool,
                 with_cp: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            NATLayer(embed_dims, num_heads, kernel_size, dilation, mlp_ratio,
                     drop_path)
            for dilation, drop_path in zip(dilations, drop_path_rates))
        self.downsample = ConvDownsampler(embed_dims) if downsample else None
        self.with_cp = with_cp

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            if self.with_cp and x.requires_grad:
                x = cp.checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x)
        return x


@MODELS.register_module()
class DiNAT(BaseModule):
    """Dilated Neighborhood Attention Transformer.

    Hassani and Shi, "Dilated Neighborhood Attention Transformer". Tensor names
    and results are those of the official OneFormer's ``D2DiNAT``. The defaults
    are DiNAT-L as OneFormer uses it on ADE20K (crop 640 and 896), COCO and
    Mapillary Vistas.

    Args:
        in_channels (int): Channels of the images.
        embed_dims (int): Channels of the first level; each level doubles them.
        depths (Sequence[int]): Layers of each level.
        num_heads (Sequence[int]): Attention heads of each level.
        kernel_size (int): Keys per axis of a window, odd.
        dilations (Sequence[Sequence[int]]): Of each layer of each level.
        mlp_ratio (float): Hidden channels of the MLPs by the level's channels.
        drop_path_rate (float): Stochastic depth of the last layer; it rises
            linearly from 0 at the first one.
        out_indices (Sequence[int]): Levels to return.
        frozen_stages (int): Levels up to this one (counted from 1) are not
            trained, 0 for the tokenizer alone, -1 for none.
        with_cp (bool): Whether layers are recomputed when backward, which
            saves memory.
        init_cfg (dict or list[dict], optional): Initialization; by default
            truncated normal with a deviation of 0.02 for linear layers.
    """

    def __init__(self,
                 in_channels: int = 3,
                 embed_dims: int = 192,
                 depths: Sequence[int] = (3, 4, 18, 5),
                 num_heads: Sequence[int] = (6, 12, 24, 48),
                 kernel_size: int = 11,
                 dilations: Sequence[Sequence[int]] = ((1, 20, 1), (1, 5, 1,
                                                                    10),
                                                       (1, 2, 1, 3, 1, 4, 1, 5,
                                                        1, 2, 1, 3, 1, 4, 1, 5,
                                                        1, 5), (1, 2, 1, 2,
                                                                1)),
                 mlp_ratio: float = 2.,
                 drop_path_rate: float = 0.3,
                 out_indices: Sequence[int] = (0, 1, 2, 3),
                 frozen_stages: int = -1,
                 with_cp: bool = False,
                 init_cfg: Optional[Union[dict, List[dict]]] = None) -> None:
        if [len(level) for level in dilations] != list(depths):
            raise ValueError(f'dilations {dilations} do not give one for each '
                             f'layer of depths {depths}')
        super().__init__(init_cfg or [
            dict(type='TruncNormal', layer='Linear', std=.02),
        ])
        self.out_indices = out_indices
        self.frozen_stages = frozen_stages
        self.patch_embed = ConvTokenizer(in_channels, embed_dims)

        step = drop_path_rate / max(1, sum(depths) - 1)
        self.levels = nn.ModuleList()
        for i, depth in enumerate(depths):
            first = sum(depths[:i])
            self.levels.append(
                NATBlock(
                    embed_dims * 2**i,
                    num_heads[i],
                    kernel_size,
                    dilations[i],
                    mlp_ratio, [step * j for j in range(first, first + depth)],
                    downsample=i < len(depths) - 1,
                    with_cp=with_cp))
        for i in out_indices:
            self.add_module(f'norm{i}', nn.LayerNorm(embed_dims * 2**i))
        self._freeze_stages()

    def _freeze_stages(self) -> None:
        frozen = [self.patch_embed] if self.frozen_stages >= 0 else []
        for i in range(self.frozen_stages):
            frozen.append(self.levels[i])
            if i in self.out_indices:
                frozen.append(getattr(self, f'norm{i}'))
        for module in frozen:
            module.eval()
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> 'DiNAT':
        """Set the mode, but leave frozen levels in evaluation."""
        super().train(mode)
        self._freeze_stages()
        return self

    def forward(self, x: Tensor) -> Tuple[Tensor, ...]:
        """Compute the maps of ``out_indices``.

        Args:
            x (Tensor): Normalized images of shape (B, 3, H, W).

        Returns:
            tuple[Tensor]: Of shape (B, C_i, H_i, W_i), at strides 4 to 32.
        """
        x = self.patch_embed(x)
        outs = []
        for i, level in enumerate(self.levels):
            x = level(x)
            if i in self.out_indices:
                out = getattr(self, f'norm{i}')(x)
                outs.append(out.permute(0, 3, 1, 2).contiguous())
            if level.downsample is not None:
                x = level.downsample(x)
        return tuple(outs)
