"""NaN and infinite gradients, with and without a gradient scaler."""
import math
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.optim.optimizer import amp_optimizer_wrapper
from torch import nn

from projects.oneformer.engine import FiniteGradientsHook

BAD = [math.nan, math.inf, -math.inf, 2.0]


def make_wrapper(cls=OptimWrapper, **kwargs):
    weight = nn.Parameter(torch.zeros(4))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    wrapper = cls(optimizer=optimizer, **kwargs)
    FiniteGradientsHook().before_train(SimpleNamespace(optim_wrapper=wrapper))
    return wrapper, weight


def loss_with(weight, gradient):
    """A loss of which ``gradient`` is the gradient."""
    return (weight * torch.tensor(gradient)).sum()


def test_replaced_in_the_step():
    wrapper, weight = make_wrapper()
    wrapper.update_params(loss_with(weight, BAD))
    assert weight.tolist() == [0.0, -1e5, 1e5, -2.0]


def test_parameter_without_gradient_is_left_alone():
    wrapper, weight = make_wrapper()
    idle = nn.Parameter(torch.ones(1))
    wrapper.optimizer.add_param_group(dict(params=[idle]))
    wrapper.update_params(loss_with(weight, [1.0] * 4))
    assert idle.grad is None and weight.tolist() == [-1.0] * 4


def test_replaced_before_clipping():
    wrapper, weight = make_wrapper(clip_grad=dict(max_norm=1.0))
    wrapper.update_params(loss_with(weight, [math.nan, 3.0, 4.0, 0.0]))
    assert weight.tolist() == pytest.approx([0.0, -0.6, -0.8, 0.0])


@pytest.fixture
def amp(monkeypatch):
    """MMEngine's AMP wrapper with a scaler that works on the CPU."""
    monkeypatch.setattr(amp_optimizer_wrapper, 'is_cuda_available',
                        lambda: True)
    monkeypatch.setattr(amp_optimizer_wrapper, 'GradScaler',
                        partial(torch.amp.GradScaler, device='cpu'))
    return partial(
        make_wrapper, AmpOptimWrapper, loss_scale=dict(init_scale=8.0))


@pytest.mark.parametrize('clip', [None, dict(max_norm=100.0)])
def test_scaler_still_sees_infinities(amp, clip):
    wrapper, weight = amp(clip_grad=clip)
    wrapper.update_params(loss_with(weight, BAD))
    assert weight.tolist() == [0.0] * 4, 'the step must be skipped'
    assert wrapper.loss_scaler.get_scale() == 4.0, 'the scale must be halved'
    wrapper.update_params(loss_with(weight, [1.0] * 4))
    assert weight.tolist() == [-1.0] * 4
