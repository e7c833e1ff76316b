"""Whether both sides of a case give equal results."""
from typing import List

import numpy as np

from .measure import BenchmarkError


def near(ours: List[np.ndarray], theirs: List[np.ndarray]) -> str:
    """Largest difference of outputs and gradients, 1e-3 at most."""
    worst = max(
        float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-6))
        for a, b in zip(ours, theirs))
    if not worst < 1e-3:
        raise BenchmarkError(f'outputs or gradients differ by {worst:.1e}')
    return f'outputs and gradients within {worst:.0e} of the largest'


def alike(ours: List[np.ndarray], theirs: List[np.ndarray]) -> str:
    """Relative norm of the difference of outputs and gradients.

    1e-3 at most: where rounding moves a value across 0, the activation behind
    it passes another gradient; and where two candidates for a point of the
    losses are nearly as uncertain, rounding decides which of them it is.
    """
    worst = max(
        float(np.linalg.norm(a - b) / np.linalg.norm(b))
        for a, b in zip(ours, theirs))
    if not worst < 1e-3:
        raise BenchmarkError(f'outputs or gradients differ by {worst:.1e}')
    return f'outputs and gradients differ by {worst:.0e} of their norm'
