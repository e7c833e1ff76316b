"""What the command lines of the converters share."""
import argparse
import sys
from pathlib import Path
from typing import Callable

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

# Before anything of mmdet, which it makes importable without compiled ops.
import projects.oneformer  # noqa: E402, F401, isort: skip

from mmengine.config import Config, DictAction  # noqa: E402

from projects.oneformer.apis import merge_options  # noqa: E402
from projects.oneformer.checkpoints import ClassOrder  # noqa: E402


def make_parser(doc: str,
                src: str,
                dst: str,
                has_classes: bool = True) -> argparse.ArgumentParser:
    """The arguments that all converters have.

    Args:
        doc (str): Its docstring.
        src (str): What it reads.
        dst (str): What it writes.
        has_classes (bool): Whether both sides know classes.
    """
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of the model here')
    parser.add_argument('src', help=src)
    parser.add_argument('dst', help=dst)
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override the config, as in model.panoptic_head.num_queries=100')
    if has_classes:
        parser.add_argument(
            '--things',
            type=int,
            nargs='+',
            metavar='INDEX',
            help='which classes are things, counted from 0 in the order of '
            'the other side (default: from the panoptic annotation that the '
            'config names; without one, that of COCO, ADE20K, Cityscapes or '
            'Mapillary Vistas, told by the number of classes)')
    return parser


def read_config(args: argparse.Namespace) -> Config:
    """The config of the model here.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is of another model, or as `merge_options`.
    """
    if not Path(args.config).is_file():
        raise FileNotFoundError(f'config {args.config} does not exist')
    cfg = Config.fromfile(args.config)
    merge_options(cfg, args.cfg_options)
    kind = cfg.get('model', {}).get('type')
    if kind != 'OneFormer':
        raise ValueError(f'{args.config} is the config of a {kind} model, '
                         "expected model.type 'OneFormer'")
    return cfg


def report(dst: str, tensors: dict, order: ClassOrder) -> None:
    """Say what was written and which class order was taken."""
    number = sum(tensor.numel() for tensor in tensors.values())
    things = order.num_things
    print(f'class order: {order.origin} ({things} things, '
          f'{len(order.labels) - things} stuff)')
    print(f'{len(tensors)} tensors, {number / 1e6:.1f}M numbers: {dst}')


def run(convert: Callable[[], None]) -> None:
    """Call a converter; what is wrong with its input ends it in one line."""
    try:
        convert()
    except (OSError, ValueError) as error:
        name = Path(sys.argv[0]).name
        print(f'{name}: error: {error}', file=sys.stderr)
        sys.exit(2)
