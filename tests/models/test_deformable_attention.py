"""Weighted sums of rows are mmcv's deformable attention, with gradients."""
import pytest
import torch
from mmcv.ops.multi_scale_deform_attn import \
    multi_scale_deformable_attn_pytorch

import projects.oneformer.models.deformable_attention as module
from projects.oneformer.models.deformable_attention import (
    DeformableSelfAttention, weighted_points)
from tests.models import tiny

SIZES = [(2, 3), (4, 5), (9, 7)]
HEADS, POINTS, CHANNELS = 2, 4, 8


def inputs(batch_size=2, queries=50, dtype=torch.float32):
    """Points lie on and off the maps."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(shape, generator=generator, dtype=dtype)

    points = (batch_size, queries, HEADS, len(SIZES), POINTS)
    value = random(batch_size, sum(h * w for h, w in SIZES), HEADS, CHANNELS)
    locations = 0.5 + 0.5 * random(*points, 2)
    leaves = value, locations, random(*points)
    return [leaf.requires_grad_() for leaf in leaves]


def rows(value, locations, weights):
    return weighted_points(value, locations, weights, *zip(*SIZES))


def grid(value, locations, weights):
    return multi_scale_deformable_attn_pytorch(value, SIZES, locations,
                                               weights)


@pytest.mark.parametrize('chunk', [1, 200, 1 << 17])
def test_results_and_gradients_are_those_of_mmcv(monkeypatch, chunk):
    monkeypatch.setattr(module, 'CHUNK_POINTS', chunk)
    leaves = inputs()
    out, expected = rows(*leaves), grid(*leaves)
    assert out.shape == (2, 50, HEADS * CHANNELS)
    assert tiny.relative(out, expected) < 2e-6
    upstream = torch.randn(
        out.shape, generator=torch.Generator().manual_seed(1))
    for ours, theirs in zip(
            torch.autograd.grad(out, leaves, upstream),
            torch.autograd.grad(expected, leaves, upstream)):
        assert tiny.relative(ours, theirs) < 1e-5


def test_gradients_are_derivatives():
    leaves = inputs(1, 3, torch.float64)
    assert torch.autograd.gradcheck(rows, leaves)


def test_only_pixels_next_to_a_point_count():
    value, locations, weights = (x.detach() for x in inputs(1, 1))
    # the middle of the pixel (2, 1) of the second map
    locations[:] = torch.tensor([2.5 / 5, 1.5 / 4])
    weights.zero_()
    weights[..., 1, 0] = 3.
    place = 2 * 3 + 1 * 5 + 2
    assert torch.equal(
        rows(value, locations, weights), 3 * value[:, place].flatten(1)[None])
    locations[:] = -1.  # far off every map
    assert torch.equal(
        rows(value, locations, weights), torch.zeros(1, 1, HEADS * CHANNELS))


def test_a_diverged_point_spoils_its_query_alone():
    value, locations, weights = inputs(1)
    with torch.no_grad():
        clean = rows(value, locations, weights)
        locations[0, 7, 0, 0, 0] = torch.tensor([torch.nan, torch.inf])
    out = rows(value, locations, weights)
    assert out[0, 7].isnan().any()
    others = torch.arange(50) != 7
    assert torch.equal(out[0, others], clean[0, others])
    out.sum().backward()
    assert locations.grad[0, others].isfinite().all()


def test_operator_is_well_defined():
    """Schema, fake tensors and gradients, as torch.compile needs them."""
    value, locations, weights = inputs(1, 3)
    heights, widths = map(list, zip(*SIZES))
    torch.library.opcheck(weighted_points,
                          (value, locations, weights, heights, widths))


@torch.no_grad()
def test_grid_is_another_way_to_sample():
    attention = DeformableSelfAttention(
        HEADS * CHANNELS, HEADS, len(SIZES), POINTS, batch_first=True).eval()
    torch.nn.init.normal_(attention.sampling_offsets.weight, std=0.5)
    pixels = sum(h * w for h, w in SIZES)
    generator = torch.Generator().manual_seed(0)
    query, pos = torch.randn((2, 2, pixels, HEADS * CHANNELS),
                             generator=generator)
    points = torch.rand((pixels, 2), generator=generator)
    found = attention(query, pos[:1], points, SIZES)
    attention.sample = attention.sample_on_grid
    assert tiny.relative(found, attention(query, pos[:1], points,
                                          SIZES)) < 1e-6
