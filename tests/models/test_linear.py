"""Linear layers by oneDNN are PyTorch's, with gradients."""
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from projects.oneformer.models import linear as module
from projects.oneformer.models.linear import (Linear, linear, product,
                                              use_onednn)
from tests.models import tiny
from tests.models.tiny import with_gradients

SHAPES = [(11, 5), (2, 3, 5), (5, ), (0, 5), (300, 5)]


def layers(bias: bool = True, dtype: torch.dtype = torch.double):
    """PyTorch's and ours, with equal parameters."""
    torch.manual_seed(0)
    both = [nn.Linear(5, 7, bias=bias).to(dtype) for _ in range(2)]
    both[1].load_state_dict(both[0].state_dict())
    use_onednn(both[1])
    assert type(both[1]) is Linear
    return both


@pytest.fixture
def calls(monkeypatch):
    """Where each call of oneDNN leaves a note."""
    if module.ONEDNN is None:
        pytest.skip('this PyTorch was built without oneDNN')
    made, operator = [], module.ONEDNN

    def noted(*args):
        made.append(args)
        return operator(*args)

    monkeypatch.setattr(module, 'ONEDNN', noted)
    return made


@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize('shape', SHAPES, ids=str)
def test_results_and_gradients_are_those_of_pytorch(shape, bias):
    plain, ours = layers(bias)
    x = torch.randn(shape, dtype=torch.double, requires_grad=True)
    torch.testing.assert_close(
        with_gradients(ours, x), with_gradients(plain, x))


@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize('shape', SHAPES, ids=str)
def test_equal_in_float32_by_onednn(shape, bias, calls):
    plain, ours = layers(bias, torch.float32)
    x = torch.randn(shape, requires_grad=True)
    torch.testing.assert_close(
        with_gradients(ours, x),
        with_gradients(plain, x),
        rtol=1e-5,
        atol=1e-5)
    # forward, and the gradient of the input
    assert len(calls) == 2


def test_tensors_may_have_gaps(calls):
    """oneDNN would read past the end of such a bias."""
    for x in (torch.randn(5, 11).t(), torch.randn(11, 10)[:, ::2],
              torch.randn(5).expand(11, 5)):
        weight, bias = torch.randn(5, 7).t(), torch.randn(14)[::2]
        torch.testing.assert_close(
            product(x, weight, bias), x @ weight.t() + bias)
        torch.testing.assert_close(
            product(x, weight, bias[:1].expand(7)), x @ weight.t() + bias[0])
    assert len(calls) == 6


def test_upstream_gradient_may_be_one_number():
    for dtype in (torch.double, torch.float32):
        plain, ours = layers(dtype=dtype)
        found = []
        for layer in (plain, ours):
            x = torch.ones(11, 5, dtype=dtype, requires_grad=True)
            layer(x).sum().backward()
            found.append([x.grad, layer.weight.grad, layer.bias.grad])
        torch.testing.assert_close(*found, rtol=1e-5, atol=1e-5)


def test_activation_may_change_the_result_in_place():
    plain, ours = (
        nn.Sequential(layer, nn.ReLU(inplace=True)) for layer in layers())
    x = torch.randn(2, 3, 5, dtype=torch.double, requires_grad=True)
    torch.testing.assert_close(
        with_gradients(ours, x), with_gradients(plain, x))


@pytest.mark.parametrize('frozen', ['weight', 'bias', 'input'])
def test_gradients_that_nobody_needs_are_not_made(frozen):
    plain, ours = layers()
    for layer in (plain, ours):
        if frozen != 'input':
            getattr(layer, frozen).requires_grad_(False)
    found = []
    for layer in (plain, ours):
        x = torch.ones(11, 5, dtype=torch.double)
        x.requires_grad_(frozen != 'input')
        layer(x).square().sum().backward()
        found.append([x.grad, layer.weight.grad, layer.bias.grad])
    for expected, grad in zip(*found):
        assert (grad is None) == (expected is None)
        if grad is not None:
            torch.testing.assert_close(grad, expected)


def test_mixed_precision_is_that_of_pytorch(calls):
    plain, ours = layers(dtype=torch.float32)
    x = torch.randn(11, 5)
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(ours(x), plain(x))
        assert torch.equal(product(x, ours.weight), linear(x, ours.weight))
    assert not calls


@pytest.mark.parametrize('dtype', tiny.HALF, ids=str)
def test_half_precision_is_that_of_pytorch(dtype, calls):
    plain, ours = layers(dtype=dtype)
    x = torch.randn(11, 5, dtype=dtype)
    assert torch.equal(ours(x), plain(x))
    assert not calls


def test_builds_without_onednn_take_the_plain_way(monkeypatch):
    monkeypatch.setattr(module, 'ONEDNN', None)
    plain, ours = layers(dtype=torch.float32)
    x = torch.randn(11, 5)
    assert torch.equal(ours(x), plain(x))


def test_onednn_can_be_switched_off(calls, monkeypatch):
    monkeypatch.setattr(module.torch.backends.mkldnn, 'enabled', False)
    plain, ours = layers(dtype=torch.float32)
    x = torch.randn(11, 5)
    assert torch.equal(ours(x), plain(x))
    assert not calls


@pytest.mark.parametrize('x, weight', [
    (torch.ones(3, 4), torch.ones(7, 5)),
    (torch.ones(3, 5), torch.ones(7, 5).double()),
])
def test_errors_are_those_of_pytorch(x, weight):
    with pytest.raises(RuntimeError, match='(shapes|dtype)'):
        linear(x, weight)


def test_all_linear_layers_of_a_model_change():
    """The other class belongs to attention, which does not call it."""
    model = tiny.build()
    kinds = {type(x) for x in model.modules() if isinstance(x, nn.Linear)}
    assert kinds == {Linear, nn.modules.linear.NonDynamicallyQuantizableLinear}


def test_products_are_counted():
    counter = FlopCounterMode(display=False)
    with counter:
        product(torch.ones(11, 5), torch.ones(7, 5))
    assert counter.get_total_flops() == 2 * 11 * 5 * 7
