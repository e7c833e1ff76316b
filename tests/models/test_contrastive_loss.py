"""The query-text contrastive loss, on one process and on two."""
import math
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from projects.oneformer.models import QueryTextContrastiveLoss
from projects.oneformer.models import contrastive_loss as loss_module
from tests.models.contrastive_worker import Pair, gradients

B, N, C = 4, 5, 6


def random_batch(batch_size=B):
    return torch.randn(batch_size, N, C), torch.randn(batch_size, N, C)


def plain(queries, texts, scale):
    """Equation 3 of the paper, image by image."""
    unit_queries = [q.flatten() / q.flatten().norm() for q in queries]
    unit_texts = [t.flatten() / t.flatten().norm() for t in texts]
    total = 0.
    for i in range(len(queries)):
        to_texts = [scale * (unit_queries[i] @ t) for t in unit_texts]
        to_queries = [scale * (unit_texts[i] @ q) for q in unit_queries]
        for logits in (to_texts, to_queries):
            total -= (logits[i] - torch.stack(logits).logsumexp(0))
    return total / len(queries)


def test_equals_the_formula():
    queries, texts = random_batch()
    loss = QueryTextContrastiveLoss()
    expected = 0.5 * plain(queries, texts, 1 / 0.07)
    torch.testing.assert_close(loss(queries, texts), expected)


def test_weight_and_temperature_are_arguments():
    queries, texts = random_batch()
    loss = QueryTextContrastiveLoss(loss_weight=2., temperature=0.5)
    torch.testing.assert_close(
        loss(queries, texts), 2 * plain(queries, texts, 2.))


def test_inverse_temperature_is_learnt_up_to_100():
    queries, texts = random_batch()
    loss = QueryTextContrastiveLoss(loss_weight=1.)
    assert math.isclose(
        loss.logit_scale.detach().exp(), 1 / 0.07, rel_tol=1e-6)
    loss(queries, texts).backward()
    assert loss.logit_scale.grad.abs() > 1e-3
    with torch.no_grad():
        loss.logit_scale.fill_(math.log(1000.))
    torch.testing.assert_close(
        loss(queries, texts), plain(queries, texts, 100.))
    with torch.no_grad():
        loss.logit_scale.fill_(math.log(99.))
    torch.testing.assert_close(
        loss(queries, texts), plain(queries, texts, 99.))


def test_one_image_is_exactly_zero_but_keeps_the_graph():
    queries, texts = (x.requires_grad_() for x in random_batch(1))
    loss = QueryTextContrastiveLoss()
    value = loss(queries, texts)
    value.backward()
    assert value == 0
    for x in (queries, texts, loss.logit_scale):
        assert x.grad.eq(0).all()


def test_half_precision_inputs_are_compared_in_float32():
    queries, texts = (x.bfloat16() for x in random_batch())
    loss = QueryTextContrastiveLoss()
    with torch.autocast('cpu', torch.bfloat16):
        value = loss(queries, texts)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(queries.float(), texts.float()))


def test_zero_queries_give_a_finite_loss():
    loss = QueryTextContrastiveLoss()
    assert loss(torch.zeros(2, N, C), torch.zeros(2, N, C)).isfinite()


def test_shapes_that_differ_are_named():
    with pytest.raises(
            ValueError, match=r'\(4, 5, 6\) .*\(4, 4, 6\) .*num_queries'):
        QueryTextContrastiveLoss()(torch.zeros(4, 5, 6), torch.zeros(4, 4, 6))


def run_processes(folder, weights, batches, world_size):
    """Results of each process, each with its share of every batch."""
    torch.save(dict(weights=weights, batches=batches), folder / 'inputs')
    worker = Path(__file__).with_name('contrastive_worker.py')
    environment = dict(
        os.environ, OMP_NUM_THREADS='1', GLOO_SOCKET_IFNAME='lo')
    # a file as rendezvous can hang: its last user may find it removed
    with socket.create_server(('127.0.0.1', 0)) as server:
        port = server.getsockname()[1]
    processes = [
        subprocess.Popen([
            sys.executable, '-W', 'ignore',
            str(worker), loss_module.__file__,
            str(port),
            str(rank),
            str(world_size),
            str(folder / 'inputs'),
            str(folder / f'result{rank}')
        ],
                         env=environment,
                         stderr=subprocess.PIPE,
                         text=True) for rank in range(world_size)
    ]
    for process in processes:
        errors = process.communicate(timeout=120)[1]
        assert process.returncode == 0, errors
    return [torch.load(folder / f'result{r}') for r in range(world_size)]


def test_two_processes_equal_one_with_the_whole_batch(tmp_path):
    model = Pair(QueryTextContrastiveLoss())
    # two images a process, and one, which is no longer free of loss
    batches = [random_batch(4), random_batch(2)]
    results = run_processes(tmp_path, model.state_dict(), batches, 2)
    for number, batch in enumerate(batches):
        expected = gradients(model, model(*batch))
        assert expected['value'] > 0.1
        assert expected['loss.logit_scale'].abs() > 1e-3
        shares = [result[number] for result in results]
        # DDP leaves the same mean gradients with every process
        for name, gradient in expected.items():
            if name != 'value':
                for share in shares:
                    torch.testing.assert_close(
                        share[name], gradient, rtol=1e-5, atol=1e-5)
        value = sum(share['value'] for share in shares) / 2
        torch.testing.assert_close(
            value, expected['value'], rtol=1e-5, atol=1e-5)
        assert not torch.allclose(shares[0]['value'], shares[1]['value'])
