"""Time and memory of our model against the size of what it is given."""
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np

from .measure import Contender, Timing, Workload, measure_alone
from .models import prepare_alone
from .network import our_answers
from .training import our_step

ANSWERS = Contender('three answers', our_answers)
STEP = Contender('training step', our_step)


@dataclass(frozen=True, eq=False)
class Sweep:
    """One setting of the workload, varied.

    Attributes:
        setting: Field of `Workload`.
        axis: What it counts.
        values: In rising order.
        contender: What is measured.
        fixed: The other settings.
    """
    setting: str
    axis: str
    values: Sequence[Any]
    contender: Contender
    fixed: Dict[str, Any]

    def workload(self, value: Any, base: Workload) -> Workload:
        if self.setting == 'image_size':
            value = (value, value)
        return replace(base, **self.fixed, **{self.setting: value})


SWEEPS = (
    Sweep('image_size', 'side of the image in pixels',
          (256, 384, 512, 768, 1024, 1536), ANSWERS, {}),
    Sweep('queries', 'queries', (50, 100, 150, 200, 250, 300), ANSWERS, {}),
    Sweep('objects', 'masks of an image', (0, 25, 50, 100, 150, 200), STEP,
          dict(batch=1, image_size=(384, 384))),
    Sweep('batch', 'images of a step', (1, 2, 4, 8), STEP,
          dict(image_size=(256, 256))),
)


def measure_sweep(sweep: Sweep, base: Workload, rounds: int) -> List[Timing]:
    """One measurement for each value."""
    return [
        measure_alone(sweep.contender, sweep.workload(value, base),
                      prepare_alone, rounds) for value in sweep.values
    ]


def read_timings(path: Path) -> Dict[str, List[Timing]]:
    """What `write_timings` wrote, nothing if there is no such file."""
    if not path.exists():
        return {}
    return {
        setting: [Timing(**timing) for timing in sweep['timings']]
        for setting, sweep in json.loads(path.read_text()).items()
    }


def write_timings(measured: Dict[str, List[Timing]], path: Path) -> None:
    """Write the measurements of some sweeps, by setting."""
    content = {
        sweep.setting:
        dict(
            values=list(sweep.values),
            fixed=sweep.fixed,
            timings=[asdict(timing) for timing in measured[sweep.setting]])
        for sweep in SWEEPS if sweep.setting in measured
    }
    path.write_text(json.dumps(content, indent=2) + '\n')


def exponents(values: Sequence[float],
              costs: Sequence[float]) -> Tuple[float, float]:
    """Slope in a plot of logarithms, over the first and the last two values.

    1 is growth in proportion; values of 0 are left out.
    """
    pairs = [(v, c) for v, c in zip(values, costs) if v > 0]
    logs = np.log(np.array(pairs, float))
    steps = np.diff(logs[:, 1]) / np.diff(logs[:, 0])
    return float(steps[0]), float(steps[-1])
