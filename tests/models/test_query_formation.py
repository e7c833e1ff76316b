"""Query formation equals MMDetection's DETR decoder, task by task."""
import pytest
import torch
import torch.nn as nn
from mmseg.utils.tokenizer import tokenize

from projects.oneformer.models import LearntQueries, QueryFormation
from projects.oneformer.models.query_formation import TaskMLP
from projects.oneformer.tasks import TASKS
from tests.models.tiny import WIDTH, tiny_config

N, B = 10, 2


def make(initial_queries='task', dropout=0.):
    config = tiny_config().panoptic_head.query_formation
    config.pop('type')
    for attention in ('self_attn_cfg', 'cross_attn_cfg'):
        config.transformer.layer_cfg[attention].update(
            attn_drop=dropout,
            dropout_layer=dict(type='Dropout', drop_prob=dropout))
    config.transformer.layer_cfg.ffn_cfg.ffn_drop = dropout
    formation = QueryFormation(
        WIDTH, N, initial_queries=initial_queries, **config)
    formation.init_weights()
    for parameter in formation.parameters():
        if parameter.dim() == 1:  # biases start at zero, norms at one
            nn.init.normal_(parameter, mean=parameter.mean().item(), std=0.3)
    return formation.eval()


@pytest.fixture
def inputs():
    """Features, query positions and the tokens of three tasks."""
    return (torch.randn(B, WIDTH, 5,
                        7), torch.randn(N, WIDTH), torch.randn(B, 3, WIDTH))


def plain(formation, features, query_pos, start):
    """The DETR decoder on the initial queries (B, n, C) of one task.

    The position encoding is key and value; the features are added to keys.
    """
    pos = formation.positional_encoding(torch.zeros(B, *features.shape[2:]))
    pos = pos.flatten(2).transpose(1, 2)
    keys = formation.feature_proj(features).flatten(2).transpose(1, 2)
    query_pos = query_pos[:start.shape[1]].expand(B, -1, -1)
    return formation.transformer(
        query=start,
        key=pos,
        value=pos,
        query_pos=query_pos,
        key_pos=keys,
        key_padding_mask=None)[-1]


@pytest.mark.parametrize('initial_queries', ['task', 'zero'])
def test_equals_the_detr_decoder_run_for_each_task(initial_queries, inputs):
    formation = make(initial_queries)
    features, query_pos, tokens = inputs
    actual = formation(*inputs)
    assert actual.shape == (B, 3, N, WIDTH)
    expected = []
    for t in range(3):
        start = tokens[:, t, None].expand(-1, N - 1, -1)
        if initial_queries == 'zero':
            start = torch.zeros_like(start)
        queries = plain(formation, features, query_pos, start)
        expected.append(torch.cat([queries, tokens[:, t, None]], dim=1))
    expected = torch.stack(expected, dim=1)
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)
    weight = torch.randn_like(expected)
    used = [p for n, p in formation.named_parameters() if 'task_mlp' not in n]
    for mine, right in zip(
            torch.autograd.grad((actual * weight).sum(), used),
            torch.autograd.grad((expected * weight).sum(), used)):
        torch.testing.assert_close(mine, right, rtol=1e-3, atol=1e-4)


def test_learnt_queries_pass_the_decoder_and_nothing_is_appended(inputs):
    formation = make('learnt')
    features, query_pos, _ = inputs
    actual = formation(features, query_pos, None)
    start = formation.query_feat.weight.expand(B, -1, -1)
    torch.testing.assert_close(
        actual[:, 0],
        plain(formation, features, query_pos, start),
        rtol=1e-5,
        atol=1e-5)
    assert actual.shape == (B, 1, N, WIDTH)
    assert not formation.uses_task
    assert not any('task' in name for name, _ in formation.named_parameters())


def test_queries_of_a_task_depend_on_the_task_as_said(inputs):
    features, query_pos, tokens = inputs
    task, zero = (make(start)(*inputs) for start in ('task', 'zero'))
    # the token is the last query of both; only there do zero starts know it
    for queries in (task, zero):
        assert torch.equal(queries[:, :, -1], tokens)
    assert torch.equal(zero[:, 0, :-1], zero[:, 1, :-1])
    assert not torch.allclose(task[:, 0, :-1], task[:, 1, :-1])


def test_queries_depend_on_the_image(inputs):
    features, query_pos, tokens = inputs
    formation = make()
    changed = formation(features + 1, query_pos, tokens)
    queries = formation(*inputs)
    assert not torch.allclose(queries[:, :, :-1], changed[:, :, :-1])


def test_images_do_not_mix(inputs):
    features, query_pos, tokens = inputs
    formation = make()
    torch.testing.assert_close(
        formation(*inputs)[1:],
        formation(features[1:], query_pos, tokens[1:]),
        rtol=1e-5,
        atol=1e-5)


def test_dropout_acts_in_training_alone(inputs):
    formation = make(dropout=0.5)
    assert torch.equal(formation(*inputs), formation(*inputs))
    formation.train()
    assert not torch.allclose(formation(*inputs), formation(*inputs))


def test_task_tokens_are_the_mlp_of_the_ids_then_the_norm():
    formation, norm = make(), nn.LayerNorm(WIDTH)
    nn.init.normal_(norm.weight)
    tasks = [['semantic', 'panoptic', 'instance'], ['instance'] * 3]
    tokens = formation.task_tokens(tasks, norm)
    first, _, second = formation.task_mlp.layers
    for i, asked in enumerate(tasks):
        for t, task in enumerate(asked):
            ids = tokenize([f'the task is {task}'], 77)[0].float()
            expected = norm(second(first(ids).relu()))
            torch.testing.assert_close(tokens[i, t], expected)
    assert not torch.allclose(tokens[0, 0], tokens[0, 1])


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_task_token_is_float32_under_autocast(dtype):
    """Half precision would round the ids 49406 and 49407 to one number."""
    mlp = TaskMLP(WIDTH)
    tasks = [list(TASKS)]
    with torch.autocast('cpu', dtype):
        tokens = mlp(tasks)
    assert tokens.dtype == torch.float32
    assert torch.equal(tokens, mlp(tasks))


def test_token_ids_are_no_part_of_a_checkpoint():
    assert not any('tokens' in name for name in TaskMLP(WIDTH).state_dict())


def test_unknown_start_is_refused():
    with pytest.raises(ValueError, match="'random'.*task, zero, learnt"):
        make('random')


def test_learnt_queries_of_mask2former_are_the_same_for_every_image():
    queries = LearntQueries(WIDTH, N)
    result = queries(torch.randn(3, WIDTH, 4, 4), torch.randn(N, WIDTH), None)
    assert result.shape == (3, 1, N, WIDTH)
    for image in result:
        assert torch.equal(image[0], queries.query_feat.weight)
    assert [name for name, _ in queries.named_parameters()
            ] == ['query_feat.weight']
