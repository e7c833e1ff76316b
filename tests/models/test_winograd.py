"""Winograd's convolution is PyTorch's, with gradients."""
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from projects.oneformer.models import winograd
from projects.oneformer.models.winograd import (WinogradConv2d,
                                                winograd_transforms)
from tests.models.tiny import through_frozen, with_gradients


def test_transforms_give_a_tile_of_a_convolution():
    image, filters, result = winograd_transforms()
    seen = torch.randn(6, 6, dtype=torch.double)
    weight = torch.randn(3, 3, dtype=torch.double)
    tile = result @ ((image @ seen.flatten()) * (filters @ weight.flatten()))
    expected = F.conv2d(seen[None, None], weight[None, None])
    torch.testing.assert_close(tile.view(1, 1, 4, 4), expected)


@pytest.fixture(params=[1, 3, 256])
def chunks(request, monkeypatch):
    """How many tiles are worked on at once."""
    monkeypatch.setattr(winograd, 'CHUNK_TILES', request.param)


def layers(*channels, **kwargs):
    plain, ours = (
        kind(*channels, 3, padding=1, **kwargs)
        for kind in (nn.Conv2d, WinogradConv2d))
    ours.load_state_dict(plain.state_dict())
    return plain, ours


@pytest.mark.parametrize('size', [(8, 12), (13, 6), (1, 1), (3, 17)], ids=str)
@pytest.mark.parametrize('layout',
                         [torch.contiguous_format, torch.channels_last])
def test_results_and_gradients_are_those_of_pytorch(size, layout, chunks):
    plain, ours = (layer.double() for layer in layers(3, 5))
    x = torch.randn(2, 3, *size, dtype=torch.double)
    x = x.contiguous(memory_format=layout).requires_grad_()
    torch.testing.assert_close(
        with_gradients(ours, x), with_gradients(plain, x))


def test_rounding_is_that_of_a_convolution():
    """With 256 channels, against float64; PyTorch's own differ by 2e-6."""
    plain, ours = layers(256, 256, bias=False)
    x = torch.randn(1, 256, 24, 24, requires_grad=True)
    found = with_gradients(ours, x)
    exact = with_gradients(plain.double(), x.double())
    for value, expected in zip(found, exact):
        error = (value - expected).abs().max() / expected.abs().max()
        assert error < 1e-5


def test_mixed_precision_is_that_of_pytorch():
    plain, ours = layers(3, 5)
    x = torch.randn(2, 3, 8, 8)
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(ours(x), plain(x))


def test_gradients_with_frozen_parameters():
    x = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(
        *through_frozen(layers(3, 5), x), rtol=1e-5, atol=1e-5)
