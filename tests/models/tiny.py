"""A OneFormer of a few milliseconds, and batches for it."""
from pathlib import Path
from typing import List, Optional, Sequence, Tuple

import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config, ConfigDict
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

BASE = Path(__file__).parents[2] / 'configs/_base_/models/oneformer_small.py'
WIDTH = 32
NUM_QUERIES = 10
NUM_CONTEXT = 3
#: Types of mixed precision.
HALF = (torch.bfloat16, torch.float16)
NUM_THINGS, NUM_STUFF = 3, 2
CLASSES = ('cat', 'dog', 'polar bear', 'sky', 'brick wall')

#: Sizes that stand in many places of the config.
SIZES = dict(
    embed_dims=WIDTH, num_feats=WIDTH // 2, feedforward_channels=2 * WIDTH)


def _shrink(config: dict) -> None:
    for key, value in config.items():
        if isinstance(value, dict):
            _shrink(value)
        elif key in SIZES:
            config[key] = SIZES[key]


def tiny_config(num_layers: int = 2, num_points: int = 64) -> ConfigDict:
    """Model config: width 32, 10 queries, thing classes 0-2, stuff 3-4."""
    model = Config.fromfile(BASE).model
    _shrink(model)
    model.update(num_things_classes=NUM_THINGS, num_stuff_classes=NUM_STUFF)
    model.backbone.base_channels = 8
    head = model.panoptic_head
    head.update(
        in_channels=[8, 16, 32, 64],
        feat_channels=WIDTH,
        out_channels=WIDTH,
        num_queries=NUM_QUERIES)
    head.pixel_decoder.encoder.num_layers = 1
    head.transformer_decoder.num_layers = num_layers
    head.text_mapper.update(
        num_texts=NUM_QUERIES - NUM_CONTEXT,
        num_context=NUM_CONTEXT,
        width=WIDTH,
        num_layers=2)
    model.train_cfg.num_points = num_points
    return model


def build(config: Optional[dict] = None, seed: int = 0):
    """Build a model with seeded weights.

    Weights of one row an output are spread, so that queries and classes
    differ as those of a trained model do.
    """
    init_default_scope('mmdet')
    torch.manual_seed(seed)
    model = MODELS.build(tiny_config() if config is None else config)
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('WARNING')  # not a line for each parameter
    model.init_weights()
    logger.setLevel(level)
    head = model.panoptic_head
    with torch.no_grad():
        head.query_embed.weight.mul_(4)
        head.cls_embed.weight.mul_(4)
        for layer in head.mask_embed[::2]:
            layer.weight.mul_(2)
    return model.eval()


def truth(labels: Sequence[int], size: Tuple[int, int]) -> InstanceData:
    """Ground truth with a random rectangle for each label."""
    rng = np.random.default_rng(len(labels))
    masks = np.zeros((len(labels), *size), np.uint8)
    for mask in masks:
        top, left = (int(rng.integers(0, side // 2)) for side in size)
        high, wide = (int(rng.integers(side // 4, side)) for side in size)
        mask[top:top + high, left:left + wide] = 1
    return InstanceData(
        labels=torch.tensor(list(labels), dtype=torch.long),
        masks=BitmapMasks(masks, *size))


def sample(task: str,
           labels: Sequence[int] = (),
           size: Tuple[int, int] = (64, 64),
           **metainfo) -> DetDataSample:
    """Data sample as the training pipeline makes it."""
    data_sample = DetDataSample(
        metainfo=dict(
            img_shape=size,
            ori_shape=size,
            batch_input_shape=size,
            task=task,
            texts=[f'a photo with a {CLASSES[label]}' for label in labels]))
    data_sample.set_metainfo(metainfo)
    data_sample.gt_instances = truth(labels, size)
    return data_sample


def batch(*data_samples: DetDataSample,
          size: Tuple[int, int] = (64, 64),
          seed: int = 0) -> Tuple[torch.Tensor, List[DetDataSample]]:
    """Normalised random images and their data samples."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn((len(data_samples), 3, *size), generator=generator)
    return images, list(data_samples)


def features(size: Tuple[int, int] = (64, 96),
             batch_size: int = 2,
             seed: int = 0) -> List[torch.Tensor]:
    """Random backbone features of strides 4 to 32."""
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn((batch_size, 8 << level, size[0] >> level + 2,
                     size[1] >> level + 2),
                    generator=generator) for level in range(4)
    ]


def with_gradients(module, x: torch.Tensor):
    """Output of a module, and gradients of its input and parameters."""
    out = module(x)
    weight = torch.linspace(-1, 2, out.numel()).to(out).view_as(out)
    leaves = [x, *module.parameters()]
    return [out, *torch.autograd.grad((out * weight).sum(), leaves)]


def through_frozen(modules, x: torch.Tensor):
    """Gradients of an input through each module, with frozen parameters."""
    found = []
    for module in modules:
        module.requires_grad_(False)
        leaf = x.clone().requires_grad_()
        module(leaf).square().sum().backward()
        assert all(p.grad is None for p in module.parameters())
        found.append(leaf.grad)
    return found


def relative(actual: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest difference in units of the largest expected value."""
    difference = (actual - expected).detach().abs().max()
    return (difference / expected.detach().abs().max()).item()
