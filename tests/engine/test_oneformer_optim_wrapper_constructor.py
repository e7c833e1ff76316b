"""Learning rate and weight decay of every parameter."""
import pytest
import torch
from mmdet.models import MSDeformAttnPixelDecoder, SwinTransformer
from mmengine.config import ConfigDict
from mmpretrain.models import ConvNeXt
from torch import nn

from projects.oneformer.engine import OneFormerOptimWrapperConstructor

LR, DECAY = 1e-4, 0.05


def settings(model, **paramwise):
    """Parameter name to (lr, weight decay); each stands in one group."""
    constructor = OneFormerOptimWrapperConstructor(
        dict(
            type='OptimWrapper',
            optimizer=dict(type='AdamW', lr=LR, weight_decay=DECAY)),
        paramwise_cfg=paramwise or None)
    optimizer = constructor(model).optimizer
    names = {parameter: name for name, parameter in model.named_parameters()}
    found = [(names[parameter], (group['lr'], group['weight_decay']))
             for group in optimizer.param_groups
             for parameter in group['params']]
    assert len(found) == len(dict(found)), 'a parameter stands in two groups'
    return dict(found)


def undecayed(model):
    found = settings(model)
    assert found.keys() == dict(model.named_parameters()).keys()
    assert {decay for _, decay in found.values()} <= {0.0, DECAY}
    return {name for name, (_, decay) in found.items() if decay == 0.0}


class Backboned(nn.Module):

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(2, 2)


def test_swin():
    model = Backboned(
        SwinTransformer(
            embed_dims=4,
            depths=(1, 1, 1, 1),
            num_heads=(1, 1, 1, 1),
            window_size=2,
            use_abs_pos_embed=True,
            pretrain_img_size=32))
    names = undecayed(model)
    expected = {
        name
        for name, _ in model.named_parameters()
        if 'norm' in name or 'relative_position_bias_table' in name
        or 'absolute_pos_embed' in name
    }
    assert names == expected
    # 4 blocks x 2 norms, 3 mergings, 4 outputs, 1 patch embedding; weight and
    # bias; 4 tables and the position embedding.
    assert len(names) == 2 * (8 + 3 + 4 + 1) + 5
    rates = {name: lr for name, (lr, _) in settings(model).items()}
    assert rates.pop('head.weight') == rates.pop('head.bias') == LR
    assert set(rates.values()) == {0.1 * LR}


def test_decay_reaches_convnext_norms():
    model = Backboned(
        ConvNeXt(
            dict(depths=[1, 1, 1, 1], channels=[4, 8, 8, 8]),
            out_indices=(0, 1, 2, 3),
            gap_before_final_norm=False))
    assert any('norm' in name for name, _ in model.named_parameters())
    assert undecayed(model) == set()


def test_pixel_decoder():
    model = MSDeformAttnPixelDecoder(
        in_channels=[4, 4, 4, 4],
        strides=[4, 8, 16, 32],
        feat_channels=8,
        out_channels=8,
        norm_cfg=dict(type='GN', num_groups=2),
        encoder=ConfigDict(
            num_layers=1,
            layer_cfg=dict(
                self_attn_cfg=dict(
                    embed_dims=8, num_heads=2, num_levels=3, num_points=1),
                ffn_cfg=dict(embed_dims=8, feedforward_channels=8))),
        positional_encoding=dict(num_feats=4, normalize=True))
    names = undecayed(model)
    assert 'level_encoding.weight' not in names
    modules = dict(model.named_modules())
    norms = {
        name
        for name, _ in model.named_parameters()
        if isinstance(modules[name.rpartition('.')[0]], (nn.GroupNorm,
                                                         nn.LayerNorm))
    }
    assert names == norms and len(norms) >= 8


class TextMapper(nn.Module):

    def __init__(self):
        super().__init__()
        self.token_embedding = nn.Embedding(5, 2)
        self.positional_embedding = nn.Parameter(torch.zeros(3, 2))
        self.context = nn.Embedding(2, 2)
        self.norm = nn.LayerNorm(2)


class Head(nn.Module):

    def __init__(self):
        super().__init__()
        self.text_mapper = TextMapper()
        self.logit_scale = nn.Parameter(torch.ones([]))
        self.rpb = nn.Parameter(torch.zeros(2, 3, 3))
        self.level_embed = nn.Embedding(3, 2)
        self.norms = nn.Sequential(
            nn.BatchNorm2d(2), nn.SyncBatchNorm(2), nn.GroupNorm(1, 2),
            nn.InstanceNorm2d(2, affine=True))
        self.frozen = nn.Linear(2, 2).requires_grad_(False)
        self.tied = self.text_mapper.token_embedding


def test_text_mapper_and_single_parameters():
    model = nn.ModuleDict(dict(panoptic_head=Head()))
    found = settings(model)
    decayed = {name for name, (_, decay) in found.items() if decay}
    head = 'panoptic_head.'
    assert decayed == {
        head + 'text_mapper.positional_embedding', head + 'logit_scale',
        head + 'rpb'
    }
    trained = {
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
    assert found.keys() == trained and head + 'frozen.weight' not in found
    assert {lr for lr, _ in found.values()} == {LR}


def test_groups_are_gathered():
    constructor = OneFormerOptimWrapperConstructor(
        dict(optimizer=dict(type='AdamW', lr=LR, weight_decay=DECAY)),
        dict(backbone_lr_mult=0.5))
    model = Backboned(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)))
    groups = constructor(model).optimizer.param_groups
    assert [(len(group['params']), group['lr'], group['weight_decay'])
            for group in groups] == [(2, 0.5 * LR, DECAY), (2, 0.5 * LR, 0.0),
                                     (2, LR, DECAY)]


def test_unknown_option_is_refused():
    with pytest.raises(ValueError, match="'custom_keys'.*backbone_lr_mult"):
        settings(nn.Linear(1, 1), custom_keys=dict())


def test_decay_must_be_stated():
    with pytest.raises(ValueError, match='lr and weight_decay'):
        OneFormerOptimWrapperConstructor(
            dict(optimizer=dict(type='AdamW', lr=LR)))
