"""A toy model and data that leave a trace, and die when told to.

Imported by the toy configs through ``custom_imports``. Environment:
TOY_TRACE is the file to which each iteration and each loaded sample is
written; TOY_KILL says when the process kills itself: "iter N" after the
step of iteration N, "write N" half through writing the checkpoint of
iteration N.
"""
import json
import os
import runpy
import signal
import sys
from pathlib import Path

import numpy as np
import torch
from mmdet.registry import DATASETS, HOOKS, METRICS, MODELS
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from torch import nn
from torch.utils.data import Dataset


def trace(**entry):
    """Append a line to the trace, at once."""
    if 'TOY_TRACE' in os.environ:
        with open(os.environ['TOY_TRACE'], 'a') as file:
            file.write(json.dumps(entry) + '\n')


@DATASETS.register_module(force=True)
class ToyDataset(Dataset):
    """11 points with random augmentation."""

    def __init__(self, ann_file=None):
        self.ann_file = ann_file

    def __len__(self):
        return 11

    def __getitem__(self, index):
        trace(loaded=index)
        point = torch.arange(4.0) * index + float(np.random.rand())
        return dict(point=point / 10, index=index)


@MODELS.register_module(force=True)
class ToyModel(BaseModel):
    """A linear layer with dropout."""

    def __init__(self, num_things_classes, num_stuff_classes, test_cfg=None):
        super().__init__()
        self.backbone = nn.Linear(4, 8)
        self.head = nn.Linear(8, num_things_classes + num_stuff_classes)
        self.test_cfg = test_cfg

    def forward(self, point, index, mode='tensor'):
        point = torch.stack(list(point))
        output = self.head(
            torch.dropout(self.backbone(point), 0.5, self.training))
        if mode == 'loss':
            return dict(loss=(output - 1).square().mean())
        return [
            dict(
                index=int(i),
                tasks=tuple(self.test_cfg['tasks']),
                token=self.test_cfg.get('task_token')) for i in index
        ]


@HOOKS.register_module(force=True)
class ToyTraceHook(Hook):
    """Trace every iteration, and obey TOY_KILL."""
    priority = 'LOWEST'

    def before_train(self, runner):
        how, _, step = os.environ.get('TOY_KILL', '').partition(' ')
        self.kill_after = int(step) if how == 'iter' else None
        if how == 'write':
            os.fsync = kill_half_through(f'iter_{step}.pth')

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        lr = runner.optim_wrapper.optimizer.param_groups[-1]['lr']
        trace(
            iter=runner.iter,
            lr=lr,
            indices=[int(index) for index in data_batch['index']])

    def after_train_iter(self, runner, batch_idx, **kwargs):
        if runner.iter + 1 == self.kill_after:
            os.kill(os.getpid(), signal.SIGKILL)


def kill_half_through(name):
    """An `os.fsync` that cuts the file ``name`` in half and dies."""
    real = os.fsync

    def fsync(descriptor):
        path = Path(f'/proc/self/fd/{descriptor}').resolve()
        if path.name.startswith(name):
            os.truncate(path, path.stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        real(descriptor)

    return fsync


class ToyMetric(BaseMetric):
    """Numbers that tell the tasks asked and the token used."""
    keys = ()

    def process(self, data_batch, data_samples):
        for sample in data_samples:
            assert self.task in sample['tasks']
            self.results.append(sample)

    def compute_metrics(self, results):
        token = results[0]['token'] or self.task
        value = 10.0 * (1 + (token == self.task)) + len(token) / 10
        return {key: value / self.scale for key in self.keys}

    scale = 1


@METRICS.register_module(force=True)
class ToyPanoptic(ToyMetric):
    task = default_prefix = 'panoptic'
    keys = [
        f'{name}{part}' for name in ('PQ', 'SQ', 'RQ')
        for part in ('', '_th', '_st')
    ]


@METRICS.register_module(force=True)
class ToyInstance(ToyMetric):
    task = default_prefix = 'instance'
    keys = [f'segm_mAP{part}' for part in ('', '_50', '_75', '_s', '_m', '_l')]
    scale = 100


@METRICS.register_module(force=True)
class ToySemantic(ToyMetric):
    task = default_prefix = 'semantic'
    keys = ['mIoU', 'aAcc', 'mAcc']


@METRICS.register_module(force=True)
class ToyOther(ToyMetric):
    """A metric of no task, which must not be run."""
    task = None

    def process(self, data_batch, data_samples):
        raise AssertionError('this metric belongs to no task')


def train_in_process(root, arguments, environment, output):
    """Run train.py in this process, which is good for nothing after."""
    os.environ.update(environment)
    with open(output, 'w') as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = ['train.py', *arguments]
    runpy.run_path(f'{root}/tools/train.py', run_name='__main__')
