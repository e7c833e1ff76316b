"""Mixed precision and compilation, as the workload asks for them."""
from typing import Callable

import torch

from .measure import Workload


def as_asked(function: Callable, workload: Workload) -> Callable:
    """``function`` compiled and under autocast, where that is asked."""
    if workload.compiled:
        function = torch.compile(function, dynamic=False)
    if workload.autocast is None:
        return function
    kind = getattr(torch, workload.autocast)

    def mixed(*args, **kwargs):
        with torch.autocast(workload.device, kind):
            return function(*args, **kwargs)

    return mixed
