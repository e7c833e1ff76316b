"""Counts the parameters and multiply-adds of a model.

    python tools/analysis_tools/get_flops.py CONFIG --shape 640 640

Needs neither weights nor data. The total is counted as the published figures
are: one task as the official code works, post-processing included. Beside it
stands what this project executes for one task and for all three.
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

# Before anything of mmdet, which it makes importable without compiled ops.
import projects.oneformer  # noqa: E402, F401, isort: skip

from mmengine.config import Config, DictAction  # noqa: E402

from projects.oneformer import analysis  # noqa: E402
from projects.oneformer.apis import merge_options  # noqa: E402


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    images = parser.add_mutually_exclusive_group(required=True)
    images.add_argument(
        '--shape',
        nargs=2,
        type=int,
        metavar=('H', 'W'),
        help='height and width of the image that the network gets')
    images.add_argument(
        '--coco',
        action='store_true',
        help='mean over the picture sizes of COCO val2017, as tested')
    parser.add_argument(
        '--output-shape',
        nargs=2,
        type=int,
        metavar=('H', 'W'),
        help='height and width of the results (default: those of --shape)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override the config, as in model.num_things_classes=80')
    args = parser.parse_args()
    if args.coco and args.output_shape:
        parser.error('--output-shape does not go with --coco, where results '
                     'have the sizes of the pictures')
    return args


def count(args: argparse.Namespace) -> analysis.Complexity:
    """The complexity that the command line asks for.

    Raises:
        FileNotFoundError, ValueError: If an argument or the config is wrong.
    """
    if not Path(args.config).is_file():
        raise FileNotFoundError(f'config {args.config} does not exist')
    cfg = Config.fromfile(args.config)
    merge_options(cfg, args.cfg_options)
    if args.coco:
        return analysis.coco_complexity(cfg)
    output_shape = args.output_shape or args.shape
    return analysis.complexity(cfg, tuple(args.shape), tuple(output_shape))


def row(name: str, *cells) -> str:
    """A line of a table."""
    cells = [
        cell if isinstance(cell, str) else f'{cell:.2f}' for cell in cells
    ]
    return f'{name.replace("_", " "):<29}' + ''.join(f'{cell:>10}'
                                                     for cell in cells)


def parameter_table(parameters: analysis.Parameters) -> str:
    """Parameters by part, in millions."""
    numbers = parameters._asdict()
    training = numbers.pop('text_mapper')
    numbers['without text mapper'] = parameters.without_text_mapper
    numbers['text mapper (training only)'] = training
    numbers['with text mapper'] = parameters.total
    lines = [row(name, number / 1e6) for name, number in numbers.items()]
    return '\n'.join([row('parameters', 'M'), *lines])


def multiply_add_table(result: analysis.Complexity) -> str:
    """Multiply-adds by part in billions, a column for each way of working."""
    ways = [result.official, result.one_task, result.three_tasks]
    *parts, post_processing = analysis.MultiplyAdds._fields
    return '\n'.join([
        row('', 'official', 'here', 'here'),
        row('', '1 task', '1 task', '3 tasks'),
        row('multiply-adds', 'G', 'G', 'G')
    ] + [
        row(name, *(getattr(way, name) / 1e9 for way in ways))
        for name in (*parts, 'network', post_processing, 'total')
    ])


def report(result: analysis.Complexity) -> str:
    """All that is printed."""
    official, own = result.official.total / 1e9, result.three_tasks.total / 1e9
    sampling = result.deformable_sampling / 1e9
    neighborhoods = result.neighborhood_attention / 1e9
    notes = [
        f'{sampling:.2f} G of each are deformable sampling, '
        f'{neighborhoods:.2f} G neighborhood attention',
        f'three tasks: {3 * official:.2f} G officially, '
        f'at most {own:.2f} G here'
    ]
    for operator, calls in result.uncounted.items():
        notes.append(f'not counted: {operator}, {calls} calls')
    return '\n\n'.join([
        parameter_table(result.parameters),
        multiply_add_table(result), '\n'.join(notes),
        f'total: {official:.2f} G'
    ])


def main() -> None:
    args = parse_args()
    try:
        result = count(args)
    except (FileNotFoundError, ValueError) as error:
        print(f'get_flops.py: error: {error}', file=sys.stderr)
        sys.exit(2)
    print(report(result))


if __name__ == '__main__':
    main()
