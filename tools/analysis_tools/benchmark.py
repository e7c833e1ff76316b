"""Measures this project against its peers, side by side in one run.

    python tools/analysis_tools/benchmark.py [CASE ...] --out DIR

Each case first checks that both sides give equal results, then times them in
turn (A B A B), each in a process of its own. A peer that is not installed is
named and its cases are left out.
"""
import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import projects.oneformer  # noqa: E402, F401, isort: skip
import torch  # noqa: E402
from benchmarks import measure, report  # noqa: E402
from benchmarks.cases import CASES  # noqa: E402


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'cases',
        nargs='*',
        metavar='CASE',
        help=f'of {", ".join(CASES)} (default: all)')
    parser.add_argument(
        '--rounds', type=int, default=5, help='timings a side (default: 5)')
    parser.add_argument(
        '--out', metavar='DIR', help='folder for benchmark.md and .json')
    parser.add_argument(
        '--device',
        choices=('cpu', 'cuda'),
        default='cuda' if torch.cuda.is_available() else 'cpu',
        help='default: the GPU, if there is one')
    parser.add_argument(
        '--model',
        default='swin-t',
        help='of configs/_base_/models/oneformer_MODEL.py (default: swin-t)')
    parser.add_argument(
        '--image-size',
        type=int,
        default=512,
        metavar='PIXELS',
        help='height and width (default: 512)')
    parser.add_argument('--queries', type=int, default=150)
    parser.add_argument('--objects', type=int, default=20)
    parser.add_argument('--batch', type=int, default=2)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument(
        '--compile',
        action='store_true',
        help='run the models of both sides through torch.compile')
    parser.add_argument(
        '--autocast',
        choices=('bfloat16', 'float16'),
        help='mixed precision on both sides; results are not compared then')
    args = parser.parse_args()
    unknown = [name for name in args.cases if name not in CASES]
    if unknown:
        parser.error(f'case {unknown[0]!r} is unknown: choose from '
                     f'{", ".join(CASES)}')
    if args.rounds < 1:
        parser.error(f'--rounds is {args.rounds}: it must be at least 1')
    return args


def main() -> None:
    args = parse_args()
    workload = measure.Workload(
        (args.image_size, ) * 2, args.queries, args.objects, args.batch,
        args.model, args.device, args.threads, args.compile, args.autocast)
    rate = measure.matrix_rate(workload.device, workload.threads)
    print(f'float32 matrix product: {rate:.0f} GFLOP/s')
    results, failed = [], False
    for name in args.cases or CASES:
        try:
            results.append(measure.measure(CASES[name], workload, args.rounds))
        except measure.BenchmarkError as error:
            failed = failed or 'not installed' not in str(error)
            print(f'{name}: left out: {error}', file=sys.stderr)
            continue
        print(report.table(results[-1:], rate).splitlines()[-1], flush=True)
        if args.out:
            # after each, so that an interrupted run keeps what it measured
            report.write(results, rate, workload, Path(args.out))
    sys.exit(int(failed))


if __name__ == '__main__':
    main()
