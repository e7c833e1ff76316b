"""Plots the curves of a training run from its logs.

    python tools/analysis_tools/plot_training.py work_dirs/NAME --out OUT.png

A log is a `scalars.json` or `<timestamp>.json`, as MMEngine writes them under
`work_dir/<timestamp>/vis_data/`, or a work directory, which stands for all
of its runs. Several logs are the parts of one training in the order given: a
resumed run takes the place of what the one before logged from there on.
"""
import argparse
import json
import sys
from pathlib import Path
from typing import Dict, Iterable, List, Tuple

import matplotlib

matplotlib.use('Agg')

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402

VALIDATION = 'validation, in percent'
#: Curves by panel: the last part of a logged key, and its name.
PANELS = {
    'total loss':
    dict(loss='loss'),
    'losses of the last prediction':
    dict(loss_cls='class', loss_mask='mask', loss_dice='dice'),
    'contrastive loss':
    dict(loss_contrastive='contrastive'),
    'query classification loss':
    dict(loss_query_cls='query class'),
    'learning rate':
    dict(lr='learning rate'),
    VALIDATION:
    dict(PQ='PQ', segm_mAP='AP', mIoU='mIoU'),
}
#: What makes a percentage of a number that is none.
PERCENT = dict(segm_mAP=100)
#: Points over which noisy losses are averaged for the bold line.
SMOOTHING = 15

Curve = Tuple[List[int], List[float]]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'logs', nargs='+', metavar='LOG', help='log file or work directory')
    parser.add_argument('--out', required=True, help='picture to write')
    parser.add_argument('--title', help='text above the plots')
    return parser.parse_args()


def find_logs(paths: Iterable[str]) -> List[Path]:
    """Log files, where a directory stands for those of its runs, in order.

    Raises:
        FileNotFoundError: If a path is missing or a directory has no log.
    """
    logs = []
    for path in map(Path, paths):
        found = [path] if path.is_file() else sorted(
            path.glob('**/vis_data/scalars.json')) or sorted(
                path.glob('scalars.json'))
        if not found:
            raise FileNotFoundError(
                f'log {path} is no file and no directory with a '
                'vis_data/scalars.json in it')
        logs += found
    return logs


def read_log(path: Path) -> List[dict]:
    """Records of a log, one per line, each with its ``step`` in iterations.

    Validations of a run by epochs are logged under the epoch: they are put
    at the iteration logged last before them. A line that a killed run left
    unfinished at the end is dropped.

    Raises:
        ValueError: If the file is no log.
    """
    records = []
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines, 1):
        try:
            record = dict(json.loads(line))
            step = int(record['step'])
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines) and records:
                break
            raise ValueError(f'{path}, line {number} is no record of '
                             f'MMEngine with a step: {line[:60]!r}') from error
        is_training = 'loss' in record
        if not is_training and records:
            step = max(step, records[-1]['step'])
        records.append({**record, 'step': step})
    return records


def join_runs(runs: Iterable[List[dict]]) -> List[dict]:
    """One list of records, in which each run goes on from where it resumed."""
    joined = []
    for run in runs:
        start = min((record['step'] for record in run), default=float('inf'))
        joined = [record for record in joined if record['step'] < start] + run
    return joined


def curves_of(records: List[dict]) -> Dict[str, Dict[str, Curve]]:
    """Curves by panel and name, each as its steps and values.

    Panels and curves of which nothing was logged are left out.
    """
    panels = {}
    for title, names in PANELS.items():
        curves = {}
        for record in records:
            for key, value in record.items():
                key = key.rsplit('/')[-1]
                # NaN and COCO's -1 say that there was nothing to measure.
                if key in names and value >= 0:
                    steps, values = curves.setdefault(names[key], ([], []))
                    steps.append(record['step'])
                    values.append(value * PERCENT.get(key, 1))
        if curves:
            panels[title] = curves
    return panels


def read_curves(paths: Iterable[str]) -> Dict[str, Dict[str, Curve]]:
    """Curves by panel and name of one training.

    Raises:
        FileNotFoundError: If a log is missing.
        ValueError: If a file is no log, or nothing was logged.
    """
    logs = find_logs(paths)
    panels = curves_of(join_runs(read_log(log) for log in logs))
    if not panels:
        raise ValueError('nothing to plot in ' + ', '.join(map(str, logs)))
    return panels


def smoothed(values: List[float]) -> np.ndarray:
    """Mean over the points around each, over fewer at the ends."""
    window = np.ones(SMOOTHING)
    return np.convolve(values, window, 'same') / np.convolve(
        np.ones(len(values)), window, 'same')


def draw_curve(axes, panel: str, name: str, curve: Curve) -> None:
    """Draw a curve: long series of losses as a faint line and its mean."""
    steps, values = curve
    if panel == VALIDATION:
        axes.plot(steps, values, marker='o', markersize=4, label=name)
        axes.annotate(
            f'{values[-1]:.1f}', (steps[-1], values[-1]),
            textcoords='offset points',
            xytext=(4, 5),
            ha='right')
    elif 'loss' not in panel or len(values) < 3 * SMOOTHING:
        axes.plot(steps, values, label=name)
    else:
        faint, = axes.plot(steps, values, alpha=0.3, linewidth=0.8)
        axes.plot(
            steps,
            smoothed(values),
            color=faint.get_color(),
            linewidth=1.8,
            label=name)


def plot(panels: Dict[str, Dict[str, Curve]], title: str = None):
    """A figure with one plot per panel, three in a row."""
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure, grid = plt.subplots(
        rows,
        columns,
        figsize=(5 * columns, 3.6 * rows),
        squeeze=False,
        layout='constrained')
    for axes in grid.flat[len(panels):]:
        axes.set_visible(False)
    for axes, (name, curves) in zip(grid.flat, panels.items()):
        axes.set_title(name)
        axes.set_xlabel('iteration')
        axes.grid(alpha=0.3)
        for label, curve in curves.items():
            draw_curve(axes, name, label, curve)
        axes.margins(x=0.04, y=0.12)
        axes.set_ylim(bottom=0)
        axes.set_xlim(left=0)
        axes.ticklabel_format(axis='y', scilimits=(-3, 4))
        if len(curves) > 1:
            axes.legend(loc='best')
    if title:
        figure.suptitle(title)
    return figure


def main() -> None:
    args = parse_args()
    try:
        panels = read_curves(args.logs)
    except (OSError, ValueError) as error:
        print(f'plot_training.py: error: {error}', file=sys.stderr)
        sys.exit(2)
    out = Path(args.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    plot(panels, args.title).savefig(out, dpi=110)
    print(f'curves: {out}')


if __name__ == '__main__':
    main()
