"""The schedules in configs/_base_ against the published settings."""
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS, build_from_cfg


@pytest.fixture
def schedule(root):
    return lambda name: Config.fromfile(root / 'configs/_base_/schedules' /
                                        f'{name}.py')


def learning_rates(cfg, steps):
    """The rate at each of ``steps``, which are sorted."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=cfg.optim_wrapper.optimizer.lr)
    scheduler = build_from_cfg(
        dict(cfg.param_scheduler, optimizer=OptimWrapper(optimizer)),
        PARAM_SCHEDULERS)
    optimizer.step()
    rates, now = [], 0
    for step in steps:
        while now < step:
            scheduler.step()
            now += 1
        rates.append(optimizer.param_groups[0]['lr'])
    return rates


def test_poly(schedule):
    cfg = schedule('schedule_90k')
    steps = [0, 1, 45000, 89990]
    # MMEngine arrives at 0 in the last step, the official code one later.
    expected = [1e-4 * (1 - step / 89999)**0.9 for step in steps]
    assert learning_rates(cfg, steps) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize('name, iterations', [('schedule_90k', 90000),
                                              ('schedule_160k', 160000),
                                              ('schedule_300k', 300000)])
def test_poly_iterations(schedule, name, iterations):
    cfg = schedule(name)
    assert cfg.train_cfg.max_iters == cfg.param_scheduler.end == iterations
    assert cfg.param_scheduler.power == 0.9


@pytest.mark.parametrize('name, milestones, iterations', [
    ('schedule_coco_50e', [327778, 355092], 368750),
    ('schedule_coco_100e', [655556, 735184], 737500),
])
def test_coco_drops_twice_without_warm_up(schedule, name, milestones,
                                          iterations):
    cfg = schedule(name)
    assert cfg.param_scheduler == dict(
        type='MultiStepLR',
        milestones=milestones,
        gamma=0.1,
        begin=0,
        end=iterations,
        by_epoch=False)
    assert cfg.train_cfg.max_iters == iterations


def test_optimizer(schedule):
    cfg = schedule('schedule_160k')
    assert cfg.optim_wrapper.optimizer == dict(
        type='AdamW', lr=1e-4, weight_decay=0.05, fused=True)
    assert cfg.optim_wrapper.paramwise_cfg.backbone_lr_mult == 0.1
    assert 'clip_grad' not in cfg.optim_wrapper
    assert cfg.auto_scale_lr.base_batch_size == 16
