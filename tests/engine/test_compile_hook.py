"""The model of a run is compiled, inside of a wrapper too."""
from types import SimpleNamespace

import pytest
from mmdet.registry import HOOKS
from mmengine.registry import MODEL_WRAPPERS
from torch import nn


class Model(nn.Module):
    compiled = None

    def compile(self, **kwargs):
        self.compiled = kwargs


@MODEL_WRAPPERS.register_module(force=True)
class WrapperOfTheTest(nn.Module):

    def __init__(self, module):
        super().__init__()
        self.module = module


@pytest.mark.parametrize('wrap', [lambda model: model, WrapperOfTheTest])
def test_compiles_with_its_options(wrap):
    hook = HOOKS.build(dict(type='CompileHook', dynamic=True))
    model = Model()
    hook.before_run(SimpleNamespace(model=wrap(model)))
    assert model.compiled == dict(dynamic=True)
