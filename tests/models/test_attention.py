"""Attention over projected memory equals ``nn.MultiheadAttention``."""
import pytest
import torch
import torch.nn as nn

from projects.oneformer.models.attention import (attend, project_key_value,
                                                 self_attend)

B, Q, K, C = 2, 5, 7, 16


@pytest.fixture
def attention():
    module = nn.MultiheadAttention(C, 4, batch_first=True)
    for parameter in module.parameters():  # biases start at zero
        nn.init.normal_(parameter, std=0.5)
    return module


def assert_same(attention, actual, expected, inputs=()):
    """Compare values and the gradients of inputs and parameters."""
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)
    leaves = [*inputs, *attention.parameters()]
    weight = torch.randn_like(expected)
    for mine, right in zip(
            torch.autograd.grad((actual * weight).sum(), leaves),
            torch.autograd.grad((expected * weight).sum(), leaves)):
        torch.testing.assert_close(mine, right, rtol=1e-4, atol=1e-4)


def random(*shape):
    return torch.randn(shape, requires_grad=True)


def test_cross_attention(attention):
    query, key, value = random(B, Q, C), random(B, K, C), random(B, K, C)
    assert_same(
        attention,
        attend(attention, query, project_key_value(attention, key, value)),
        attention(query, key, value)[0], (query, key, value))


def test_mask_differs_by_image_and_query(attention):
    query, memory = random(B, Q, C), random(B, K, C)
    visible = torch.rand(B, Q, K) < 0.4
    visible[..., 2] = True
    hidden = ~visible.repeat_interleave(4, dim=0)
    actual = attend(attention, query,
                    project_key_value(attention, memory, memory), visible)
    assert_same(attention, actual,
                attention(query, memory, memory, attn_mask=hidden)[0],
                (query, memory))


def test_value_shared_by_all_images(attention):
    query, key, value = random(B, Q, C), random(B, K, C), random(1, K, C)
    memory = project_key_value(attention, key, value)
    assert memory.value.shape == (1, 4, K, C // 4)
    assert_same(attention, attend(attention, query, memory),
                attention(query, key, value.expand(B, -1, -1))[0],
                (query, key, value))


def test_queries_of_several_tasks_share_a_memory(attention):
    queries, memory = random(B, 3, Q, C), random(B, K, C)
    actual = attend(attention, queries.flatten(1, 2),
                    project_key_value(attention, memory, memory))
    expected = torch.cat(
        [attention(queries[:, t], memory, memory)[0] for t in range(3)], dim=1)
    assert_same(attention, actual, expected, (queries, memory))


def test_self_attention_adds_positions_to_queries_and_keys_alone(attention):
    x, pos = random(B, Q, C), random(Q, C)
    assert_same(attention, self_attend(attention, x, pos),
                attention(x + pos, x + pos, x)[0], (x, pos))


def test_causal(attention):
    x = random(B, Q, C)
    future = torch.ones(Q, Q, dtype=torch.bool).triu(1)
    assert_same(attention, self_attend(attention, x, is_causal=True),
                attention(x, x, x, attn_mask=future)[0], (x, ))


def test_dropout_acts_in_training_alone():
    attention = nn.MultiheadAttention(C, 4, dropout=0.5, batch_first=True)
    x = torch.randn(B, Q, C)
    attention.eval()
    once = self_attend(attention, x)
    assert torch.equal(once, self_attend(attention, x))
    attention.train()
    assert not torch.allclose(once, self_attend(attention, x))
    # it is dropout of attention weights, so its mean is the plain result
    mean = torch.stack([self_attend(attention, x) for _ in range(500)]).mean(0)
    torch.testing.assert_close(mean, once, rtol=0, atol=0.1)
