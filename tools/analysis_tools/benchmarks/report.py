"""Results of the benchmark as a table in Markdown, and as JSON."""
import json
from dataclasses import asdict
from pathlib import Path
from typing import List, Sequence

from .measure import Result, Timing, Workload

HEADINGS = ('case', 'ours', 'peer', 'time', 'faster (spread)', 'asked',
            'memory', 'share of matrix rate', 'results')


def table(results: Sequence[Result], rate: float) -> str:
    """One row a case.

    Args:
        results: Of the cases that were measured.
        rate: See `measure.matrix_rate`.
    """
    rows = [HEADINGS, ('---', ) * len(HEADINGS)]
    rows += [_row(result, rate) for result in results]
    return '\n'.join(f'| {" | ".join(row)} |' for row in rows)


def _row(result: Result, rate: float) -> List[str]:
    case = result.case
    return [
        f'{case.name}: {case.title}', case.ours.name, case.peer.name,
        f'{_time(result, result.ours)}, {_time(result, result.peer)}',
        f'**{result.speedup:.2f}** ({min(result.ratios):.2f} to '
        f'{max(result.ratios):.2f})',
        _asked(result),
        f'{result.ours.peak_mib:.0f} / {result.peer.peak_mib:.0f} MiB',
        f'{_share(result.ours, rate)}, {_share(result.peer, rate)}',
        result.equality or 'not comparable'
    ]


def _time(result: Result, timing: Timing) -> str:
    if result.case.unit:
        speed = result.case.per_call / timing.median
        return f'{speed:.1f} {result.case.unit}/s'
    return (f'{timing.median:.2f} s'
            if timing.median >= 0.5 else f'{1000 * timing.median:.1f} ms')


def _asked(result: Result) -> str:
    case = result.case
    if case.least_speedup is None:
        return '-'
    reached = result.speedup >= case.least_speedup
    asked = f'{case.least_speedup:.2f}'
    if case.largest_memory is not None:
        reached = reached and result.memory <= case.largest_memory
        asked += f', memory {case.largest_memory:.2f}'
    return f'{asked}: {"reached" if reached else "missed"}'


def _share(timing: Timing, rate: float) -> str:
    if not timing.gflop:
        return '-'
    return f'{timing.gflop / timing.median / rate:.0%}'


def as_json(results: Sequence[Result], rate: float,
            workload: Workload) -> dict:
    """All measurements, round by round."""
    return dict(
        workload=asdict(workload),
        matrix_gflops=rate,
        cases={
            result.case.name:
            dict(
                ours=asdict(result.ours),
                peer=asdict(result.peer),
                speedup=result.speedup,
                memory=result.memory,
                equality=result.equality)
            for result in results
        })


def write(results: Sequence[Result], rate: float, workload: Workload,
          folder: Path) -> None:
    """Write ``benchmark.md`` and ``benchmark.json`` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'benchmark.md').write_text(table(results, rate) + '\n')
    content = as_json(results, rate, workload)
    (folder /
     'benchmark.json').write_text(json.dumps(content, indent=2) + '\n')
