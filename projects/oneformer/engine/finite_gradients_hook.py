"""Replacement of NaN and infinite gradients before the optimizer's step."""
from typing import Iterable

import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from torch import nn

#: What an infinite gradient becomes (official `train_net.py`).
LARGEST_GRADIENT = 1e5


@HOOKS.register_module()
class FiniteGradientsHook(Hook):
    """Step with 0 for a NaN gradient and +-1e5 for an infinite one.

    As the official `FullModelGradientClippingOptimizer`, this happens inside
    the optimizer's step. With `AmpOptimWrapper` that is after the gradient
    scaler has looked for infinities: a step that overflowed in half precision
    is skipped and the scale lowered, as it should be, and nothing is replaced.

    If gradients are clipped (they are not officially, see the schedules),
    they are made finite before, so that one NaN does not blank them all.
    """

    def before_train(self, runner) -> None:
        """Place the replacement in front of clipping and step."""
        wrapper = runner.optim_wrapper
        wrapper.optimizer.register_step_pre_hook(_before_step)
        if wrapper.clip_grad_kwargs:
            clip = wrapper.clip_func

            def clip_finite(parameters, **kwargs):
                make_gradients_finite(parameters)
                return clip(parameters, **kwargs)

            wrapper.clip_func = clip_finite


def _before_step(optimizer, args, kwargs) -> None:
    for group in optimizer.param_groups:
        make_gradients_finite(group['params'])


def make_gradients_finite(parameters: Iterable[nn.Parameter]) -> None:
    """Replace NaN by 0 and +-inf by +-1e5 in the gradients, in place."""
    for parameter in parameters:
        if parameter.grad is not None:
            torch.nan_to_num(
                parameter.grad,
                nan=0.0,
                posinf=LARGEST_GRADIENT,
                neginf=-LARGEST_GRADIENT,
                out=parameter.grad)
