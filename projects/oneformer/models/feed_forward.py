"""Feed-forward networks whose hidden layer stays in the cache."""
import torch
import torch.nn.functional as F
from mmengine.model import Sequential
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from .cpu import takes_cpu_path
from .linear import product

#: Rows that are worked on at once: with 1024 hidden channels they are 4 MB.
CHUNK_ROWS = 1024


class ChunkedLayers(Sequential):
    """The ``layers`` of mmcv's ``FFN``, a chunk of rows after the other.

    On a CPU what comes before and after an activation, and the gradients of
    both, are read while they are in the cache, and the gradients are kept of
    no more than a chunk. With the products of oneDNN and with gradients, it
    is 1.1 to 1.2 times as fast (case ``feed-forward`` of
    docs/benchmarks.md).
    """

    def forward(self, x: Tensor) -> Tensor:
        """Two linear layers with ReLU or GELU between, (..., C) -> (..., C).

        Other networks, and dropout while it is active, take the plain way.
        """
        if not (self._is_simple() and takes_cpu_path(x)):
            return super().forward(x)
        (first, activation, _), second, _ = self
        out = _TwoLayers.apply(
            x.flatten(0, -2), first.weight, first.bias, second.weight,
            second.bias, isinstance(activation, nn.GELU))
        return out.view(*x.shape[:-1], len(second.weight))

    def _is_simple(self) -> bool:
        if len(self) != 3:
            return False
        (_, activation, inner), _, outer = self
        dropped = self.training and max(inner.p, outer.p) > 0
        return not dropped and (isinstance(activation, nn.ReLU) or
                                (isinstance(activation, nn.GELU)
                                 and activation.approximate == 'none'))


class _TwoLayers(Function):
    """Two linear layers with an activation between, on (N, C)."""

    @staticmethod
    def forward(ctx, x: Tensor, weight1: Tensor, bias1: Tensor,
                weight2: Tensor, bias2: Tensor, is_gelu: bool) -> Tensor:
        hidden = []
        out = x.new_empty((len(x), len(weight2)))
        for rows, sums in _chunks(x, out):
            before = product(rows, weight1, bias1)
            # of ReLU the result is kept, from which its gradient follows
            after = F.gelu(before) if is_gelu else before.relu_()
            sums.copy_(product(after, weight2, bias2))
            hidden.append(before)
        ctx.save_for_backward(x, weight1, weight2, *hidden)
        ctx.is_gelu = is_gelu
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        x, weight1, weight2, *hidden = ctx.saved_tensors
        is_trained = any(ctx.needs_input_grad[1:])
        x_grad = torch.empty_like(x)
        weight1_grad, weight2_grad = (
            torch.zeros_like(weight) for weight in (weight1, weight2))
        bias1_grad = x.new_zeros(len(weight1))
        for before, (rows, upstream,
                     rows_grad) in zip(hidden, _chunks(x, grad, x_grad)):
            inner = product(upstream, weight2.t())
            if ctx.is_gelu:
                after = F.gelu(before)
                torch.ops.aten.gelu_backward.grad_input(
                    inner, before, grad_input=inner)
            else:
                after = before
                torch.ops.aten.threshold_backward.grad_input(
                    inner, before, 0, grad_input=inner)
            rows_grad.copy_(product(inner, weight1.t()))
            if not is_trained:
                continue
            weight1_grad.addmm_(inner.t(), rows)
            weight2_grad.addmm_(upstream.t(), after)
            bias1_grad += inner.sum(0)
        return (x_grad, weight1_grad, bias1_grad, weight2_grad, grad.sum(0),
                None)


def _chunks(*tensors: Tensor):
    """Yield `CHUNK_ROWS` rows of each after the other."""
    return zip(*(x.split(CHUNK_ROWS) for x in tensors))
