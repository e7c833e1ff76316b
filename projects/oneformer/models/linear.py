"""Linear layers whose products a CPU leaves to oneDNN."""
from math import prod
from typing import Optional

import torch
import torch.nn.functional as F
from mmcv import cnn
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.utils.flop_counter import flop_registry, register_flop_formula

from .cpu import takes_cpu_path

#: oneDNN's linear layer, the operator that PyTorch's Inductor takes; builds
#: of PyTorch without oneDNN have none.
ONEDNN = getattr(torch.ops.mkldnn, '_linear_pointwise', None)


class Linear(nn.Linear):
    """``nn.Linear`` by way of `linear`."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


def use_onednn(module: nn.Module) -> None:
    """Let each linear layer inside of a module be a `Linear`, in place.

    Those of PyTorch and mmcv, that is, but not what is derived from them.
    """
    for layer in module.modules():
        if type(layer) in (nn.Linear, cnn.Linear):
            # the same state, another forward pass
            layer.__class__ = Linear


def linear(x: Tensor, weight: Tensor, bias: Optional[Tensor] = None) -> Tensor:
    """``F.linear``, (..., C) -> (..., D), with the products of oneDNN.

    With gradients 1.1 to 1.3 times as fast (case ``linear`` of
    docs/benchmarks.md). Those of weights stay with PyTorch, where they are
    faster.
    """
    if not takes_cpu_path(x):
        return F.linear(x, weight, bias)
    rows = x.reshape(-1, x.shape[-1])
    return _Linear.apply(rows, weight, bias).view(*x.shape[:-1], len(weight))


def product(x: Tensor,
            weight: Tensor,
            bias: Optional[Tensor] = None) -> Tensor:
    """``F.linear`` of rows (N, C) for code that makes its own gradients.

    PyTorch has MKL multiply matrices of float32, which oneDNN does 1.1 to 1.4
    times as fast on the AMD processor of docs/benchmarks.md; others were not
    measured. Other types stay with PyTorch.
    """
    if not (_has_onednn() and takes_cpu_path(x)
            and x.dtype == weight.dtype == torch.float32
            and x.shape[1] == weight.shape[1]):
        return F.linear(x, weight, bias)
    # it would read past the end of a bias with gaps
    bias = None if bias is None else bias.contiguous()
    return ONEDNN(x, weight, bias, 'none', [], '')


def _has_onednn() -> bool:
    backend = torch.backends.mkldnn
    return ONEDNN is not None and backend.is_available() and backend.enabled


class _Linear(Function):
    """`linear` on (N, C)."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor,
                bias: Optional[Tensor]) -> Tensor:
        ctx.save_for_backward(x, weight)
        return product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad
        return (product(grad, weight.t()) if needs_x else None,
                grad.t() @ x if needs_weight else None,
                grad.sum(0) if needs_bias else None)


if ONEDNN is not None and ONEDNN not in flop_registry:

    @register_flop_formula(ONEDNN)
    def _flop(x_shape, weight_shape, *args, **kwargs) -> int:
        """Floating-point operations, for counters on PyTorch's formulas."""
        return 2 * prod(x_shape) * weight_shape[0]
