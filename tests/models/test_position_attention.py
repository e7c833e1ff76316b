"""Attention to positions equals PyTorch's on their values."""
import pytest
import torch
import torch.nn.functional as F

from projects.oneformer.models import position_attention
from projects.oneformer.models.position_attention import (PositionMemory,
                                                          attend_to_positions)

B, HEADS, D, QUERIES = 2, 2, 4, 11


@pytest.fixture(params=[(5, 7), (1, 6), (4, 1)], ids=str)
def inputs(request):
    """Queries, keys, and values of rows and columns, all with gradients."""
    height, width = request.param
    shapes = ((B, HEADS, QUERIES, D), (B, HEADS, height * width, D),
              (HEADS, height, D), (HEADS, width, D))
    return [
        torch.randn(*shape, dtype=torch.double, requires_grad=True)
        for shape in shapes
    ]


@pytest.fixture(params=[False, True], ids=['at once', 'in parts'])
def parts(request, monkeypatch):
    """Whether the queries of a head are worked on in parts, the last smaller.
    """
    if request.param:
        monkeypatch.setattr(position_attention, 'CHUNK_WEIGHTS', 1)
        monkeypatch.setattr(position_attention, 'CHUNK_QUERIES', 4)


def attend(query, *memory, dropout_p=0.):
    return attend_to_positions(query, PositionMemory(*memory), dropout_p)


def values(rows, columns):
    return (rows[:, :, None] + columns[:, None]).flatten(1, 2)


def plain(query, key, rows, columns):
    value = values(rows, columns).expand_as(key)
    return F.scaled_dot_product_attention(query, key, value)


def with_gradients(function, inputs):
    out = function(*inputs)
    weight = torch.linspace(-1, 2, out.numel()).to(out).view_as(out)
    return [out, *torch.autograd.grad((out * weight).sum(), inputs)]


def test_equals_attention_to_the_sums(inputs, parts):
    expected = with_gradients(plain, inputs)
    found = with_gradients(attend, inputs)
    torch.testing.assert_close(found, expected)


def test_equals_in_float32(inputs, parts):
    inputs = [x.detach().float().requires_grad_() for x in inputs]
    torch.testing.assert_close(
        with_gradients(attend, inputs),
        with_gradients(plain, inputs),
        rtol=1e-5,
        atol=1e-5)


def test_gradients_with_dropout(inputs, parts):

    def seeded(*inputs):
        torch.manual_seed(0)
        return attend(*inputs, dropout_p=0.3)

    assert torch.autograd.gradcheck(seeded, inputs)


def test_dropout_is_that_of_attention_weights():
    query = torch.randn(1, 1, 1, D).expand(1, 1, 20000, D)
    key, rows, columns = (
        torch.randn(*shape, D) for shape in ((1, 1, 6), (1, 2), (1, 3)))
    weights = (query[0, 0, 0] @ key[0, 0].t() / D**0.5).softmax(-1)
    value = values(rows, columns)[0]
    out = attend(query, key, rows, columns, dropout_p=0.25)[0, 0]
    # each weight stays with 3/4 and is then divided by that
    torch.testing.assert_close(
        out.mean(0), weights @ value, rtol=0.02, atol=0.02)
    variance = (weights**2 / 3) @ value**2
    torch.testing.assert_close(out.var(0), variance, rtol=0.05, atol=0.)


def test_draws_no_random_numbers_without_dropout():
    inputs = [torch.randn(1, 1, 6, D), torch.randn(1, 1, 6, D)]
    inputs += [torch.randn(1, 2, D), torch.randn(1, 3, D)]
    torch.manual_seed(0)
    state = torch.get_rng_state()
    attend(*inputs)
    assert torch.equal(torch.get_rng_state(), state)


def test_bfloat16_inputs_are_attended_in_float32(inputs):
    half = [x.detach().bfloat16().requires_grad_() for x in inputs]
    with torch.autocast('cpu', torch.bfloat16):
        found = with_gradients(attend, half)
    assert found[0].dtype == torch.float32
    assert all(x.dtype == torch.bfloat16 for x in found[1:])
    same = [x.detach().float().requires_grad_() for x in half]
    expected = with_gradients(plain, same)
    for a, b in zip(found, expected):
        torch.testing.assert_close(a.float(), b, rtol=1e-2, atol=1e-2)


def test_compiled_it_is_attention_to_the_sums(inputs):
    compiled = torch.compile(attend, backend='eager', fullgraph=True)
    torch.testing.assert_close(compiled(*inputs), plain(*inputs))


def test_no_query():
    out = attend(
        torch.zeros(1, 1, 0, D), torch.zeros(1, 1, 6, D), torch.zeros(1, 2, D),
        torch.zeros(1, 3, D))
    assert out.shape == (1, 1, 0, D)
