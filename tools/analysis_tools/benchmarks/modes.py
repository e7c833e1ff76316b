"""Mixed precision and compilation, as the workload asks for them."""
from typing import Callable

import torch
from torch import nn

from .measure import Workload


def as_asked(function: Callable, model: nn.Module,
             workload: Workload) -> Callable:
    """``function`` of a compiled model and under autocast, where asked.

    `OneFormer` compiles its parts, other models are compiled as a whole.
    """
    if workload.compiled:
        model.compile()
    if workload.autocast is None:
        return function
    kind = getattr(torch, workload.autocast)

    def mixed(*args, **kwargs):
        with torch.autocast(workload.device, kind):
            return function(*args, **kwargs)

    return mixed
