"""Multi-head attention over keys and values that are projected once."""
from typing import NamedTuple, Optional

import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from .linear import linear


class KeyValue(NamedTuple):
    """Projected keys and values, each of shape (B or 1, heads, K, C/heads)."""
    key: Tensor
    value: Tensor


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    """(..., L, C) -> (..., heads, L, C / heads)."""
    return x.unflatten(-1, (num_heads, -1)).transpose(-3, -2)


def project_key_value(attention: nn.MultiheadAttention, key: Tensor,
                      value: Tensor) -> KeyValue:
    """Project keys and values, so that many queries can share them.

    Args:
        attention (nn.MultiheadAttention): Holds the projections.
        key (Tensor): Keys of shape (B, K, C).
        value (Tensor): Values of shape (B, K, C) or, where they are the same
            for all images, (1, K, C).
    """
    _, key_weight, value_weight = attention.in_proj_weight.chunk(3)
    _, key_bias, value_bias = attention.in_proj_bias.chunk(3)
    heads = attention.num_heads
    return KeyValue(
        split_heads(linear(key, key_weight, key_bias), heads),
        split_heads(linear(value, value_weight, value_bias), heads))


def project_query(attention: nn.MultiheadAttention, query: Tensor) -> Tensor:
    """Project queries (B, Q, C) -> (B, heads, Q, C / heads)."""
    weight = attention.in_proj_weight[:attention.embed_dim]
    bias = attention.in_proj_bias[:attention.embed_dim]
    return split_heads(linear(query, weight, bias), attention.num_heads)


def project_output(attention: nn.MultiheadAttention, out: Tensor) -> Tensor:
    """Project what heads give, (B, heads, Q, C / heads) -> (B, Q, C)."""
    last = attention.out_proj
    return linear(out.transpose(1, 2).flatten(2), last.weight, last.bias)


def dropout_rate(attention: nn.MultiheadAttention) -> float:
    """Share of the attention weights that are dropped now."""
    return attention.dropout if attention.training else 0.


def attend(attention: nn.MultiheadAttention,
           query: Tensor,
           memory: KeyValue,
           visible: Optional[Tensor] = None,
           is_causal: bool = False) -> Tensor:
    """What ``attention(query, key, value)`` gives, from projected memory.

    Args:
        attention (nn.MultiheadAttention): Its parameters and dropout.
        query (Tensor): Queries of shape (B, Q, C).
        memory (KeyValue): From `project_key_value` of the same module.
        visible (Tensor, optional): Bool tensor of shape (B, Q, K), true where
            a query sees a key; every query must see at least one.
        is_causal (bool): Whether query i sees the keys up to i alone.

    Returns:
        Tensor: Of shape (B, Q, C).
    """
    query = project_query(attention, query)
    shape = (query.shape[0], *memory.value.shape[1:])
    out = F.scaled_dot_product_attention(
        query,
        memory.key.expand(shape),
        memory.value.expand(shape),
        attn_mask=None if visible is None else visible.unsqueeze(1),
        dropout_p=dropout_rate(attention),
        is_causal=is_causal)
    return project_output(attention, out)


def self_attend(attention: nn.MultiheadAttention,
                x: Tensor,
                pos: Optional[Tensor] = None,
                is_causal: bool = False) -> Tensor:
    """Self-attention of (B, L, C), ``pos`` added to queries and keys."""
    query = x if pos is None else x + pos
    memory = project_key_value(attention, query, x)
    return attend(attention, query, memory, is_causal=is_causal)
