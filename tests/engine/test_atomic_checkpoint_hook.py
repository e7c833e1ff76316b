"""No moment of a run is without a complete checkpoint."""
import os
from pathlib import Path

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

from projects.oneformer.engine import (AtomicBackend, AtomicCheckpointHook,
                                       find_checkpoint)

#: Scores of the validations of a run: better, worse, better.
SCORES = [0.5, 0.2, 0.7]


class Model(BaseModel):

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def forward(self, inputs, mode):
        if mode == 'loss':
            return dict(loss=self.layer(torch.stack(inputs)).square().sum())
        return inputs


class Score(BaseMetric):
    default_prefix = 'toy'
    validations = 0

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        self.validations += 1
        score = SCORES[self.validations - 1]
        return dict(score=score, loss=1 - score)


def make_loader():
    return dict(
        dataset=[dict(inputs=torch.ones(1))] * 4,
        batch_size=1,
        sampler=dict(type='InfiniteSampler'))


def make_runner(work_dir, **checkpoint):
    return Runner(
        Model(),
        str(work_dir),
        train_dataloader=make_loader(),
        val_dataloader=dict(
            make_loader(), sampler=dict(type='DefaultSampler')),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=3, val_interval=1),
        val_cfg=dict(type='ValLoop'),
        val_evaluator=[Score()],
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=dict(
            checkpoint=AtomicCheckpointHook(
                by_epoch=False, interval=1, max_keep_ckpts=1, **checkpoint)),
        experiment_name=Path(work_dir).name)


@pytest.fixture
def watched(monkeypatch):
    """A list of what was complete before each change of a file."""
    changes = []

    def watch(owner, name, path_of):
        real = getattr(owner, name)

        def call(*args):
            path = Path(path_of(*args))
            folder = path.parent
            changes.append(
                (path.name, sorted(p.name for p in folder.glob('*.pth')),
                 find_checkpoint(folder)))
            return real(*args)

        monkeypatch.setattr(owner, name, call)

    watch(AtomicBackend, 'put', lambda self, content, path: path)
    watch(os, 'remove', lambda path: path)
    return changes


def names(folder):
    return sorted(path.name for path in folder.glob('*.pth'))


def test_the_one_before_goes_last(tmp_path, watched):
    make_runner(tmp_path).train()
    assert names(tmp_path) == ['iter_3.pth']
    # (file changed, complete ones before, the one to resume from)
    assert [(name, before) for name, before, _ in watched] == [
        ('iter_1.pth', []),
        ('last_checkpoint', ['iter_1.pth']),
        ('iter_2.pth', ['iter_1.pth']),
        ('last_checkpoint', ['iter_1.pth', 'iter_2.pth']),
        ('iter_1.pth', ['iter_1.pth', 'iter_2.pth']),
        ('iter_3.pth', ['iter_2.pth']),
        ('last_checkpoint', ['iter_2.pth', 'iter_3.pth']),
        ('iter_2.pth', ['iter_2.pth', 'iter_3.pth']),
    ]
    assert all(last is not None for _, _, last in watched[1:])
    assert find_checkpoint(tmp_path) == str(tmp_path / 'iter_3.pth')


def test_kept_ones_are_recorded_in_the_checkpoint(tmp_path):
    make_runner(tmp_path).train()
    checkpoint = torch.load(tmp_path / 'iter_3.pth', weights_only=False)
    assert checkpoint['message_hub']['runtime_info']['keep_ckpt_ids'] == [3]


def test_best_is_replaced_by_a_complete_one(tmp_path, watched):
    make_runner(tmp_path, save_best='toy/score', rule='greater').train()
    assert names(tmp_path) == ['best_toy_score_iter_3.pth', 'iter_3.pth']
    removals = [
        before for name, before, _ in watched
        if name == 'best_toy_score_iter_1.pth' and name in before
    ]
    assert len(removals) == 1 and 'best_toy_score_iter_3.pth' in removals[0]
    best = torch.load(
        tmp_path / 'best_toy_score_iter_3.pth', weights_only=False)
    assert 'random_states' not in best and 'optimizer' not in best


def test_best_of_two_metrics(tmp_path):
    make_runner(
        tmp_path, save_best=['toy/score', 'toy/loss'], rule=['less',
                                                             'less']).train()
    assert names(tmp_path) == [
        'best_toy_loss_iter_3.pth', 'best_toy_score_iter_2.pth', 'iter_3.pth'
    ]
