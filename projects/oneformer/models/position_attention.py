"""Attention to the pixels of a map whose values are their positions."""
from typing import Iterator, NamedTuple, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.amp import custom_bwd, custom_fwd
from torch.autograd import Function
from torch.autograd.function import once_differentiable

#: Attention weights that are made at once, 4 MB of them, which the cache of a
#: CPU holds; but of 32 queries at least, since products need that many.
CHUNK_WEIGHTS, CHUNK_QUERIES = 1 << 20, 32


class PositionMemory(NamedTuple):
    """Keys of the pixels of B maps, and values of their rows and columns.

    ``key`` has shape (B, heads, h w, D). The value of a pixel is that of its
    row plus that of its column: ``rows`` (heads, h, D), ``columns``
    (heads, w, D).
    """
    key: Tensor
    rows: Tensor
    columns: Tensor


def attend_to_positions(query: Tensor,
                        memory: PositionMemory,
                        dropout_p: float = 0.) -> Tensor:
    """``scaled_dot_product_attention`` with the values of `PositionMemory`.

    On a CPU, sums of the weights over rows and over columns take the place of
    their product with the values, which saves three of the seven products of a
    training step; and dropout needs a byte a weight in place of several
    floats. With gradients it is 1.4 times as fast, with dropout 1.8 times
    (cases ``position-attention``, ``position-dropout`` of
    docs/benchmarks.md).

    Args:
        query (Tensor): Shape (B, heads, Q, D).
        memory (PositionMemory): Of the B maps.
        dropout_p (float): Share of the weights to drop.

    Returns:
        Tensor: Shape (B, heads, Q, D).
    """
    if query.device.type == 'cpu' and not torch.compiler.is_compiling():
        return _PositionAttention.apply(query, *memory, dropout_p)
    value = memory.rows[:, :, None] + memory.columns[:, None]
    return F.scaled_dot_product_attention(
        query,
        memory.key,
        value.flatten(1, 2).expand_as(memory.key),
        dropout_p=dropout_p)


class _PositionAttention(Function):
    """`attend_to_positions` on a CPU; weights are made again for gradients."""

    @staticmethod
    @custom_fwd(device_type='cpu', cast_inputs=torch.float32)
    def forward(ctx, query: Tensor, key: Tensor, rows: Tensor, columns: Tensor,
                dropout_p: float) -> Tensor:
        query = query * query.shape[-1]**-0.5
        kept = None
        if dropout_p > 0:
            kept = torch.empty((*query.shape[:3], key.shape[2]),
                               dtype=torch.bool).bernoulli_(1 - dropout_p)
        size = rows.shape[1], columns.shape[1]
        row_sums, column_sums = (
            query.new_empty((*query.shape[:3], n)) for n in size)
        for part, weights, _ in _weights(query, key):
            if kept is not None:
                weights.mul_(kept[part]).div_(1 - dropout_p)
            weights = weights.unflatten(1, size)
            torch.sum(weights, 2, out=row_sums[part])
            torch.sum(weights, 1, out=column_sums[part])
        out = row_sums @ rows + column_sums @ columns
        ctx.save_for_backward(query, key, rows, columns, out, row_sums,
                              column_sums, kept)
        ctx.dropout_p = dropout_p
        return out

    @staticmethod
    @once_differentiable
    @custom_bwd(device_type='cpu')
    def backward(ctx, grad: Tensor):
        (query, key, rows, columns, out, row_sums, column_sums,
         kept) = ctx.saved_tensors
        # the gradient of a weight before the softmax is the weight times the
        # gradient after it, less the mean of these, which is this
        mean = (grad * out).sum(-1, keepdim=True)
        by_row = grad @ rows.transpose(1, 2)
        by_column = grad @ columns.transpose(1, 2)
        if kept is None:
            by_row = by_row - mean
        query_grad, key_grad = torch.empty_like(query), torch.zeros_like(key)
        for part, weights, spare in _weights(query, key):
            torch.add(
                by_row[part][:, :, None],
                by_column[part][:, None],
                out=spare.unflatten(1, (rows.shape[1], -1)))
            if kept is not None:
                spare.mul_(kept[part]).div_(1 - ctx.dropout_p).sub_(mean[part])
            weights.mul_(spare)
            head = part[:2]
            query_grad[part] = weights @ key[head]
            key_grad[head].addmm_(weights.t(), query[part])
        return (query_grad.mul_(query.shape[-1]**-0.5), key_grad,
                torch.einsum('bhqn,bhqd->hnd', row_sums, grad),
                torch.einsum('bhqn,bhqd->hnd', column_sums, grad), None)


def _weights(
        query: Tensor, key: Tensor
) -> Iterator[Tuple[Tuple[int, int, slice], Tensor, Tensor]]:
    """Attention weights of some queries of one head after the other.

    Args:
        query (Tensor): Scaled queries (B, heads, Q, D).
        key (Tensor): Shape (B, heads, K, D).

    Yields:
        tuple: Image, head and queries; their weights (n, K), to be changed at
        will until the next; and as much memory that was used for them.
    """
    queries, keys = query.shape[2], key.shape[2]
    step = max(min(CHUNK_WEIGHTS // keys, queries), CHUNK_QUERIES)
    logits, weights = query.new_empty((2, step, keys))
    for image in range(query.shape[0]):
        for head in range(query.shape[1]):
            for start in range(0, queries, step):
                number = min(step, queries - start)
                part = image, head, slice(start, start + number)
                spare, made = logits[:number], weights[:number]
                torch.mm(query[part], key[image, head].t(), out=spare)
                torch.softmax(spare, -1, out=made)
                yield part, made, spare
