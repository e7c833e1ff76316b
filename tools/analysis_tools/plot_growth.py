"""Measures and plots how time and memory grow with the workload.

    python tools/analysis_tools/plot_growth.py --out DIR

Image size and queries are varied for all three answers to an image, masks and
batch for a training step. Writes growth.png and growth.json, where settings
that are not measured anew stay as they are.
"""
import argparse
import sys
from pathlib import Path
from typing import Dict, List

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import projects.oneformer  # noqa: E402, F401, isort: skip
import matplotlib  # noqa: E402

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # noqa: E402
from benchmarks import growth  # noqa: E402
from benchmarks.measure import Workload  # noqa: E402
from benchmarks.measure import BenchmarkError, Timing  # noqa: E402


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [sweep.setting for sweep in growth.SWEEPS]
    parser.add_argument(
        'settings',
        nargs='*',
        metavar='SETTING',
        help=f'of {", ".join(names)} (default: all)')
    parser.add_argument('--out', required=True, metavar='DIR')
    parser.add_argument(
        '--rounds', type=int, default=3, help='timings a value (default: 3)')
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    parser.add_argument('--threads', type=int, default=2)
    args = parser.parse_args()
    unknown = set(args.settings) - set(names)
    if unknown:
        parser.error(f'setting {min(unknown)!r} is unknown: choose from '
                     f'{", ".join(names)}')
    return args


def plot(measured: Dict[str, List[Timing]], path: Path) -> None:
    """Time above, memory below, a column for each setting."""
    sweeps = [sweep for sweep in growth.SWEEPS if sweep.setting in measured]
    figure, axes = plt.subplots(
        2, len(measured), figsize=(4 * len(measured), 6.5), squeeze=False)
    for column, sweep in zip(axes.T, sweeps):
        timings = measured[sweep.setting]
        costs = dict(
            seconds=[timing.median for timing in timings],
            MiB=[timing.peak_mib for timing in timings])
        for axis, (unit, values) in zip(column, costs.items()):
            axis.plot(sweep.values, values, 'o-', color='#1f5fa8')
            axis.set(
                ylim=(0, 1.1 * max(values)),
                xlabel=sweep.axis,
                ylabel='median seconds'
                if unit == 'seconds' else 'peak memory in MiB')
            axis.grid(alpha=0.3)
        column[0].set_title(sweep.contender.name)
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plt.close(figure)


def main() -> None:
    args = parse_args()
    base = Workload(device=args.device, threads=args.threads)
    folder = Path(args.out)
    folder.mkdir(parents=True, exist_ok=True)
    timings = growth.read_timings(folder / 'growth.json')
    for sweep in growth.SWEEPS:
        if args.settings and sweep.setting not in args.settings:
            continue
        try:
            timings[sweep.setting] = growth.measure_sweep(
                sweep, base, args.rounds)
        except BenchmarkError as error:
            print(f'plot_growth.py: error: {error}', file=sys.stderr)
            sys.exit(1)
        first, last = growth.exponents(
            sweep.values, [t.median for t in timings[sweep.setting]])
        print(f'{sweep.contender.name} against {sweep.setting}: time grows '
              f'with exponent {first:.2f} at first, {last:.2f} at last')
        for value, timing in zip(sweep.values, timings[sweep.setting]):
            print(f'  {value:>5} {timing.median:8.2f} s '
                  f'{timing.peak_mib:7.0f} MiB')
        # after each, so that an interrupted run keeps what it measured
        growth.write_timings(timings, folder / 'growth.json')
        plot(timings, folder / 'growth.png')


if __name__ == '__main__':
    main()
