"""The Swin Transformer is MMDetection's, with gradients."""
import warnings

import pytest
import torch
from mmdet.models.backbones import SwinTransformer
from torch import nn

from projects.oneformer.models import OneFormerSwinTransformer

#: Padding differs from map to map, and the last ones are smaller than a
#: window.
SIZES = [(136, 75), (64, 96), (28, 28)]


def backbones(**kwargs):
    """MMDetection's and ours, with equal random parameters."""
    config = dict(
        embed_dims=12,
        depths=(2, 2, 1, 1),
        num_heads=(2, 3, 4, 6),
        window_size=5,
        drop_path_rate=0.,
        **kwargs)
    both = SwinTransformer(**config), OneFormerSwinTransformer(**config)
    for parameter in both[0].parameters():
        nn.init.normal_(parameter, std=0.2)
    both[1].load_state_dict(both[0].state_dict())
    return [backbone.double() for backbone in both]


def with_gradients(backbone, x):
    outs = backbone(x)
    loss = sum((out * torch.arange(out.shape[-1])).sum() for out in outs)
    backbone.zero_grad()
    x.grad = None
    loss.backward()
    return [*outs, x.grad, *(p.grad for p in backbone.parameters())]


@pytest.mark.parametrize('size', SIZES, ids=str)
@pytest.mark.parametrize('qkv_bias', [True, False])
def test_results_and_gradients_are_those_of_mmdet(size, qkv_bias):
    plain, ours = backbones(qkv_bias=qkv_bias)
    x = torch.randn(2, 3, *size, dtype=torch.double, requires_grad=True)
    torch.testing.assert_close(
        with_gradients(ours, x), with_gradients(plain, x))


def test_with_checkpoints():
    plain, ours = backbones(with_cp=True)
    x = torch.randn(1, 3, 64, 96, dtype=torch.double, requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', UserWarning)  # of use_reentrant
        torch.testing.assert_close(
            with_gradients(ours, x), with_gradients(plain, x))


def test_dropout_of_attention_is_that_of_mmdet():
    plain, ours = backbones(attn_drop_rate=0.2)
    x = torch.randn(1, 3, 64, 96, dtype=torch.double)
    found = []
    for backbone in (plain, ours):
        torch.manual_seed(1)
        backbone.train()
        found.append(backbone(x))
    torch.testing.assert_close(found[1], found[0])


def test_mixed_precision_is_that_of_mmdet():
    plain, ours = (backbone.float() for backbone in backbones())
    x = torch.randn(1, 3, 64, 96)
    with torch.autocast('cpu', torch.bfloat16):
        for found, expected in zip(ours(x), plain(x)):
            assert torch.equal(found, expected)
