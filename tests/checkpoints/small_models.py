"""Configs of models with the official structure, a few hundred times smaller.

Their sizes are those of the recorded official models: width 64, 20 queries,
7 classes of which three are things.
"""
from pathlib import Path

import torch
from mmdet.models.backbones import ResNet
from mmdet.models.backbones.resnet import Bottleneck
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

BASE = Path(__file__).parents[2] / 'configs/_base_/models/oneformer_r50.py'
VARIANTS = ('r50', 'swin', 'convnext', 'dinat')
#: In the official order; there, things do not stand first.
CLASSES = ('sky', 'car', 'road', 'tree', 'person', 'dog', 'brick wall')
THINGS = (1, 4, 5)
#: The official class of each label.
OFFICIAL_CLASS = (1, 4, 5, 0, 2, 3, 6)


class NarrowBottleneck(Bottleneck):
    """Half as many output channels as ResNet's."""
    expansion = 2


@MODELS.register_module(force=True)
class NarrowResNet(ResNet):
    """ResNet-50 of `NarrowBottleneck`."""
    arch_settings = {50: (NarrowBottleneck, (3, 4, 6, 3))}


BACKBONES = dict(
    r50=dict(
        type='NarrowResNet',
        depth=50,
        stem_channels=16,
        base_channels=16,
        norm_cfg=dict(type='BN'),
        norm_eval=True,
        style='pytorch'),
    swin=dict(
        type='OneFormerSwinTransformer',
        embed_dims=24,
        depths=[2, 2, 2, 2],
        num_heads=[3, 3, 6, 12],
        window_size=5,
        drop_path_rate=0.),
    convnext=dict(
        type='mmpretrain.ConvNeXt',
        arch=dict(depths=[1, 1, 2, 1], channels=[16, 32, 48, 64]),
        out_indices=[0, 1, 2, 3],
        drop_path_rate=0.,
        layer_scale_init_value=1.,
        gap_before_final_norm=False),
    dinat=dict(
        type='DiNAT',
        embed_dims=24,
        depths=[1, 2, 2, 1],
        num_heads=[2, 3, 4, 6],
        kernel_size=5,
        dilations=[[1], [1, 3], [1, 2], [1]],
        mlp_ratio=2.,
        drop_path_rate=0.))
CHANNELS = dict(
    r50=[32, 64, 128, 256],
    swin=[24, 48, 96, 192],
    convnext=[16, 32, 48, 64],
    dinat=[24, 48, 96, 192])

#: Settings that stand in many places of the config.
_EVERYWHERE = dict(
    embed_dims=64,
    num_feats=32,
    attn_drop=0.,
    drop_prob=0.,
    dropout=0.,
    ffn_drop=0.)


def _shrink(config: dict) -> None:
    for key, value in config.items():
        if isinstance(value, dict):
            _shrink(value)
        elif key in _EVERYWHERE:
            config[key] = _EVERYWHERE[key]


def small_config(variant: str) -> Config:
    """Config of a recorded model: its backbone is the variant's name.

    The class counts are left to the converters.
    """
    cfg = Config.fromfile(BASE)
    model, head = cfg.model, cfg.model.panoptic_head
    _shrink(head)
    model.backbone = BACKBONES[variant]
    head.update(
        in_channels=CHANNELS[variant],
        feat_channels=64,
        out_channels=64,
        num_queries=20)
    head.pixel_decoder.encoder.num_layers = 2
    head.transformer_decoder.num_layers = 4
    for transformer in (head.transformer_decoder,
                        head.query_formation.transformer):
        transformer.layer_cfg.ffn_cfg.feedforward_channels = 128
    head.text_mapper.update(
        num_texts=16, num_context=4, width=64, num_layers=2, num_heads=1)
    model.train_cfg.num_points = 20000
    model.test_cfg.update(object_mask_thr=0.15, iou_thr=0.05, max_per_image=40)
    model.data_preprocessor.bgr_to_rgb = False
    return cfg


def with_classes(cfg: Config) -> Config:
    """The config with the class counts of the recorded models."""
    cfg.model.update(
        num_things_classes=len(THINGS),
        num_stuff_classes=len(CLASSES) - len(THINGS))
    return cfg


def build(cfg: Config, seed: int = 0) -> torch.nn.Module:
    """A model in evaluation mode whose parameters all count."""
    init_default_scope('mmdet')
    torch.manual_seed(seed)
    model = MODELS.build(cfg.model)
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter,
                              float(parameter.dim() < 2 and 'weight' in name),
                              0.1 if parameter.dim() < 2 else 0.05)
    return model.eval()
