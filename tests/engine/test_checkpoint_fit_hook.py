"""Which checkpoints are refused, seen from a runner that loads one."""
from types import SimpleNamespace

import pytest
import torch
from mmengine.runner import IterBasedTrainLoop
from torch import nn

from projects.oneformer.engine import (CheckpointFitHook, CheckpointMisfit,
                                       NewClassesHook)


@pytest.fixture
def model():
    head = nn.Module()
    head.cls_embed = nn.Linear(2, 4)
    head.text_mapper = nn.Linear(2, 2)
    model = nn.Module()
    model.backbone = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    model.panoptic_head = head
    return model


def load(model, state, hooks=(), training=True):
    loop = object.__new__(IterBasedTrainLoop) if training else dict()
    runner = SimpleNamespace(
        model=model,
        hooks=list(hooks),
        _resume=False,
        _train_loop=loop,
        _load_from='some.pth',
        logger=SimpleNamespace(info=lambda text: None))
    for hook in [*hooks, CheckpointFitHook()]:
        hook.after_load_checkpoint(runner, dict(state_dict=state))


def test_what_fits(model):
    state = model.state_dict()
    load(model, state)
    load(model, {f'module.{name}': value for name, value in state.items()})
    for name in ('panoptic_head.text_mapper.weight',
                 'backbone.1.num_batches_tracked'):
        del state[name]
    state['other'] = torch.zeros(1)
    load(model, state)


def test_missing_tensors(model):
    state = model.state_dict()
    del state['backbone.0.weight'], state['backbone.0.bias']
    with pytest.raises(
            CheckpointMisfit,
            match='some.pth does not .* 2 tensor.* missing, backbone.0.w'):
        load(model, state)


def test_other_shapes(model):
    state = model.state_dict()
    state['panoptic_head.cls_embed.weight'] = torch.zeros(7, 2)
    words = (r'1 tensor\(s\) of another shape, panoptic_head.cls_embed.weight '
             r'\[7, 2\] instead of \[4, 2\]; .*NewClassesHook')
    with pytest.raises(CheckpointMisfit, match=words):
        load(model, state)
    state['backbone.0.bias'] = torch.zeros(3)
    with pytest.raises(CheckpointMisfit) as error:
        load(model, state)
    assert 'NewClassesHook' not in str(error.value)


def test_other_classes_are_started_anew(model):
    state = model.state_dict()
    state['panoptic_head.cls_embed.weight'] = torch.zeros(7, 2)
    load(model, dict(state), [NewClassesHook()])
    with pytest.raises(CheckpointMisfit):
        load(model, dict(state), [NewClassesHook()], training=False)
    del state['panoptic_head.cls_embed.weight']
    with pytest.raises(CheckpointMisfit, match='missing'):
        load(model, dict(state), [NewClassesHook()], training=False)


def test_checkpoints_of_other_code(model):
    with pytest.raises(CheckpointMisfit, match='tools/model_converters'):
        load(model, dict(weight=torch.zeros(3)))
