"""Neighborhood attention against one loop over all pixels and neighbors."""
import sys
import types

import pytest
import torch
import torch.nn.functional as F

from projects.oneformer.models import neighborhood_attention as module
from projects.oneformer.models.neighborhood_attention import (
    NeighborhoodAttention, neighborhood_attention)
from tests.models.neighborhood_loops import attend_by_loop, scores_by_loop

HEADS, CHANNELS = 2, 3


def by_loop(query, key, value, rpb, kernel_size, dilation):
    """The same arguments and result as `neighborhood_attention`."""
    query, key, value = (x.permute(0, 3, 1, 2, 4) for x in (query, key, value))
    scores = scores_by_loop(query * query.shape[-1]**-0.5, key, rpb,
                            kernel_size, dilation)
    out = attend_by_loop(scores.softmax(-1), value, kernel_size, dilation)
    return out.permute(0, 2, 3, 1, 4)


def make_inputs(height, width, kernel_size, batch=1, dtype=torch.float32):
    maps = torch.randn(
        3, batch, height, width, HEADS, CHANNELS, dtype=dtype).unbind()
    side = 2 * kernel_size - 1
    inputs = [*maps, torch.randn(HEADS, side, side, dtype=dtype)]
    return [x.requires_grad_() for x in inputs]


@pytest.mark.parametrize('kernel_size, dilation, size', [
    (3, 1, (3, 5)),
    (3, 1, (23, 12)),
    (3, 5, (15, 16)),
    (5, 2, (10, 13)),
    (5, 3, (31, 19)),
    (7, 1, (7, 25)),
    (7, 2, (17, 29)),
    (7, 3, (21, 22)),
    (11, 1, (11, 34)),
    (11, 2, (22, 25)),
])
def test_outputs_and_gradients_are_those_of_the_loop(kernel_size, dilation,
                                                     size):
    inputs = make_inputs(*size, kernel_size, batch=2)
    got = neighborhood_attention(*inputs, kernel_size, dilation)
    expected = by_loop(*inputs, kernel_size, dilation)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)

    grad = torch.randn_like(got)
    for x, y in zip(
            torch.autograd.grad(got, inputs, grad),
            torch.autograd.grad(expected, inputs, grad)):
        torch.testing.assert_close(x, y, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize('kernel_size, dilation, size', [
    (11, 3, (33, 37)),
    (11, 5, (55, 59)),
    (7, 5, (41, 36)),
])
def test_large_windows_give_what_the_loop_gives(kernel_size, dilation, size):
    inputs = [x.detach() for x in make_inputs(*size, kernel_size)]
    torch.testing.assert_close(
        neighborhood_attention(*inputs, kernel_size, dilation),
        by_loop(*inputs, kernel_size, dilation),
        rtol=1e-5,
        atol=1e-5)


def test_gradients_are_exact_in_double_precision():
    inputs = make_inputs(7, 12, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda *x: neighborhood_attention(*x, 3, 2), inputs, fast_mode=True)


def test_chunks_do_not_change_outputs_and_gradients(monkeypatch):
    inputs = make_inputs(26, 23, 5, batch=2, dtype=torch.float64)

    def run():
        out = neighborhood_attention(*inputs, 5, 2)
        return out, *torch.autograd.grad(out.square().sum(), inputs)

    whole = run()
    monkeypatch.setattr(module, 'CHUNK_SCORES', 1)
    torch.testing.assert_close(run(), whole)


@pytest.mark.parametrize('tile_size', [1, 4, 100])
def test_tile_size_does_not_change_the_result(monkeypatch, tile_size):
    inputs = make_inputs(26, 23, 5, dtype=torch.float64)
    expected = neighborhood_attention(*inputs, 5, 2)
    monkeypatch.setattr(module, 'TILE_SIZE', tile_size)
    module.axis_tiles.cache_clear()
    got = neighborhood_attention(*inputs, 5, 2)
    module.axis_tiles.cache_clear()
    torch.testing.assert_close(got, expected)


def test_memory_layout_does_not_change_outputs_and_gradients():
    inputs = make_inputs(12, 9, 3, dtype=torch.float64)
    turned = [
        x.detach().transpose(1, 3).contiguous().transpose(1,
                                                          3).requires_grad_()
        for x in inputs[:3]
    ]
    results = []
    for maps in (inputs[:3], turned):
        out = neighborhood_attention(*maps, inputs[3], 3, 2)
        results.append((out, *torch.autograd.grad(out.square().sum(), maps)))
    torch.testing.assert_close(*results)


def test_fewer_queries_than_keys_are_the_upper_left_ones():
    inputs = [x.detach() for x in make_inputs(15, 21, 5)]
    whole = neighborhood_attention(*inputs, 5, 3)
    part = neighborhood_attention(inputs[0][:, :4, :17], *inputs[1:], 5, 3)
    torch.testing.assert_close(part, whole[:, :4, :17])


def test_saved_and_copied_memory_stays_far_below_all_neighborhoods():
    query, key, value, rpb = make_inputs(64, 64, 11)
    sizes = []

    class Watch(torch.overrides.TorchFunctionMode):

        def __torch_function__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor):
                sizes.append(out.untyped_storage().nbytes() // 4)
            return out

    saved = []
    with Watch(), torch.autograd.graph.saved_tensors_hooks(
            lambda x: saved.append(x.numel()) or x, lambda x: x):
        neighborhood_attention(query, key, value, rpb, 11, 1)
    assert max(sizes) < 11 * 11 * key.numel() / 10
    assert sum(saved) == 3 * key.numel() + rpb.numel()


def test_maps_smaller_than_the_window_are_refused():
    inputs = make_inputs(9, 30, 5)
    with pytest.raises(ValueError, match='9 x 30 keys.*pad it to 10'):
        neighborhood_attention(*inputs, 5, 2)


@pytest.mark.parametrize('size', [(4, 12), (12, 7), (3, 2), (12, 13)])
def test_module_sees_small_maps_as_padded_with_zeros(size):
    attention = NeighborhoodAttention(6, HEADS, kernel_size=5, dilation=2)
    torch.nn.init.normal_(attention.qkv.bias)
    x = torch.randn(2, *size, 6)
    padded = F.pad(x, (0, 0, 0, max(0, 10 - size[1]), 0, max(0, 10 - size[0])))
    expected = attention(padded)[:, :size[0], :size[1]]
    torch.testing.assert_close(attention(x), expected)


@pytest.mark.parametrize('size', [(12, 13), (7, 12)])
def test_module_runs_in_mixed_precision(size):
    attention = NeighborhoodAttention(16, HEADS, kernel_size=5, dilation=2)
    torch.nn.init.normal_(attention.rpb)
    x = torch.randn(1, *size, 16)
    results = []
    for enabled in (False, True):
        with torch.autocast('cpu', torch.bfloat16, enabled=enabled):
            out = attention(x).float()
        results.append(
            (out,
             *torch.autograd.grad(out.square().sum(), attention.parameters())))
    for full, mixed in zip(*results):
        assert mixed.dtype == torch.float32
        assert (full - mixed).norm() < 0.02 * full.norm()


def test_module_refuses_what_it_cannot_build():
    with pytest.raises(ValueError, match='embed_dims 10 .* num_heads 4'):
        NeighborhoodAttention(10, 4, 3)
    with pytest.raises(ValueError, match='kernel_size 4 is even'):
        NeighborhoodAttention(8, 4, 4)


@pytest.fixture
def install_natten(monkeypatch):
    """Put a NATTEN in the place of an installed one, as if on a GPU."""
    natten_kernels = module.natten_kernels
    natten_kernels.cache_clear()

    def install(**functions):
        natten = types.ModuleType('natten')
        natten.functional = types.SimpleNamespace(**functions)
        monkeypatch.setitem(sys.modules, 'natten', natten)
        monkeypatch.setattr(module, 'natten_kernels',
                            lambda _: natten_kernels('cuda'))

    yield install
    natten_kernels.cache_clear()


def scores_with_keyword(query, key, kernel_size, dilation=1, rpb=None):
    return scores_by_loop(query, key, rpb, kernel_size, dilation)


@pytest.mark.parametrize(
    'functions', [
        dict(natten2dqkrpb=scores_by_loop, natten2dav=attend_by_loop),
        dict(
            na2d_qk=lambda query, key, kernel_size, dilation: None,
            na2d_av=None,
            natten2dqkrpb=scores_by_loop,
            natten2dav=attend_by_loop),
        dict(na2d_qk=scores_with_keyword, na2d_av=attend_by_loop),
    ],
    ids=['0.14', '0.15', '0.17'])
def test_natten_is_used_and_gives_the_same(monkeypatch, install_natten,
                                           functions):
    inputs = make_inputs(12, 15, 5, batch=2)
    inputs[0] = inputs[0][:, :9, :11]
    expected = neighborhood_attention(*inputs, 5, 2)
    install_natten(**functions)
    monkeypatch.setattr(module.TiledAttention, 'apply', None)
    got = neighborhood_attention(*inputs, 5, 2)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)

    for x, y in zip(
            torch.autograd.grad(got.square().sum(), inputs),
            torch.autograd.grad(expected.square().sum(), inputs)):
        torch.testing.assert_close(x, y, rtol=1e-4, atol=2e-5)


def test_natten_without_a_bias_is_not_used(install_natten):
    install_natten(na2d=None)
    inputs = make_inputs(6, 7, 3)
    torch.testing.assert_close(
        neighborhood_attention(*inputs, 3, 1), by_loop(*inputs, 3, 1))


def test_natten_is_not_used_on_a_cpu_or_when_it_cannot_be_imported(
        monkeypatch, install_natten):
    natten_kernels = module.natten_kernels
    install_natten(natten2dqkrpb=scores_by_loop, natten2dav=attend_by_loop)
    assert natten_kernels('cuda') == (scores_by_loop, attend_by_loop)
    assert natten_kernels('cpu') is None

    monkeypatch.setitem(sys.modules, 'natten', None)
    natten_kernels.cache_clear()
    assert natten_kernels('cuda') is None
