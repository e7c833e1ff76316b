"""Counting the multiply-adds of what PyTorch executes."""
from collections import Counter
from contextlib import contextmanager
from math import prod
from typing import Iterator

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

aten = torch.ops.aten

#: What fvcore counts for each value that comes out.
PER_OUTPUT = {
    aten.native_batch_norm: 2,
    aten._native_batch_norm_legit_no_training: 2,
    aten.native_group_norm: 5,
    aten.native_layer_norm: 5,
    aten.upsample_nearest2d: 1,
    aten.upsample_bilinear2d: 4,
    aten.grid_sampler_2d: 4,
}
#: Nothing is counted for what moves, compares or adds up values, nor for
#: views and pointwise operators.
FREE = {torch.ops.prim.device}.union(
    getattr(aten, name)
    for name in ('_local_scalar_dense', '_softmax', '_to_copy', '_unsafe_view',
                 'any', 'arange', 'argmax', 'cat', 'clone', 'constant_pad_nd',
                 'copy_', 'cumsum', 'empty', 'empty_like', 'eye', 'fill_',
                 'flip', 'floor_divide', 'full', 'full_like', 'gather',
                 'im2col', 'index', 'index_select', 'lift_fresh', 'max',
                 'max_pool2d_with_indices', 'mean', 'min', 'new_empty',
                 'new_full', 'new_ones', 'new_zeros', 'nonzero', 'ones',
                 'ones_like', 'prod', 'repeat', 'roll', 'scalar_tensor',
                 'softmax', 'stack', 'sum', 'zero_', 'zeros', 'zeros_like'))


def _attention(query, key, value) -> int:
    """Multiply-adds of the attention of (.., L, C) on (.., K, C)."""
    return prod(query.shape[:-1]) * key.shape[-2] * (
        query.shape[-1] + value.shape[-1])


def _samples(value, locations, weights, *sizes) -> int:
    """Multiply-adds of `weighted_points`, as of samples taken on a grid."""
    return PER_OUTPUT[aten.grid_sampler_2d] * weights.numel() * value.shape[-1]


class MultiplyAddCounter(TorchDispatchMode):
    """Counts the multiply-adds of all that is executed inside of it.

    By the rules of fvcore, which the published figures follow: products and
    convolutions; a few for each value of a norm, a resized map or sampled
    points; nothing for softmax, sums and pointwise operators. The tensors
    need no values.

    Attributes:
        parts (Counter): Multiply-adds by name of a `part`.
        operators (Counter): The same by name of the operator.
        unknown (Counter): Calls of operators of which it cannot tell the
            multiply-adds.
    """

    def __init__(self) -> None:
        super().__init__()
        self.parts = Counter()
        self.operators = Counter()
        self.unknown = Counter()
        self._part = ''

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count what is executed inside as ``name``, and there alone."""
        outer, self._part = self._part, name
        try:
            yield
        finally:
            self._part = outer

    def add(self, operator: str, number: int) -> None:
        """Count what PyTorch does not execute itself."""
        self.parts[self._part] += number
        self.operators[operator] += number

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        operator = func._overloadpacket
        if operator in flop_registry:
            # two floating-point operations each
            flops = flop_registry[operator](*args, **kwargs, out_val=out)
            self.add(str(operator), flops // 2)
        elif operator in PER_OUTPUT:
            values = out[0] if isinstance(out, tuple) else out
            self.add(str(operator), PER_OUTPUT[operator] * values.numel())
        elif operator is aten._scaled_dot_product_flash_attention_for_cpu:
            self.add(str(operator), _attention(*args[:3]))
        elif operator is torch.ops.oneformer.weighted_points:
            self.add(str(operator), _samples(*args))
        elif not (operator in FREE or func.is_view
                  or torch.Tag.pointwise in func.tags):
            self.unknown[str(operator)] += 1
        return out
