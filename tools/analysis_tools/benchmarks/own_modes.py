"""Cases of our own modes: compiled, and with mixed precision."""
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

from .measure import Case, Contender, Workload
from .models import prepare_alone
from .network import our_answers, similar
from .training import our_step


def compiled_answers(workload: Workload, folder: Path) -> Callable[[], Any]:
    return our_answers(replace(workload, compiled=True), folder)


def mixed_answers(workload: Workload, folder: Path) -> Callable[[], Any]:
    return our_answers(replace(workload, autocast='bfloat16'), folder)


def compiled_step(workload: Workload, folder: Path) -> Callable[[], Any]:
    return our_step(replace(workload, compiled=True), folder)


def mixed_step(workload: Workload, folder: Path) -> Callable[[], Any]:
    return our_step(replace(workload, autocast='bfloat16'), folder)


ANSWERS = Contender('as it is', our_answers)
STEP = Contender('as it is', our_step)
CASES = (
    Case('compiled-answers', 'three tasks with post-processing, torch.compile',
         Contender('compiled', compiled_answers), ANSWERS, None, similar,
         prepare_alone),
    Case('mixed-answers', 'three tasks with post-processing, bfloat16',
         Contender('bfloat16', mixed_answers), ANSWERS, None, None,
         prepare_alone),
    Case('compiled-step', 'training step, torch.compile',
         Contender('compiled', compiled_step), STEP, None, None,
         prepare_alone),
    Case('mixed-step', 'training step, bfloat16',
         Contender('bfloat16', mixed_step), STEP, None, None, prepare_alone),
)
