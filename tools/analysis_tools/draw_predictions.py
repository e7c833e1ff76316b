"""Draws what a model answers for a handful of validation images.

    python tools/analysis_tools/draw_predictions.py CONFIG CHECKPOINT --out DIR

Each sheet shows an image, its annotation, and the answer to each task. It is
named after the image, and where several images have one name, after their
folders too.
"""
import argparse
import difflib
import sys
import warnings
from pathlib import Path
from typing import List, Sequence

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import projects.oneformer  # noqa: E402, F401, isort: skip
import mmcv  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from mmdet.registry import DATASETS  # noqa: E402
from mmengine.config import DictAction  # noqa: E402
from mmengine.dataset import pseudo_collate  # noqa: E402

from projects.oneformer import apis  # noqa: E402
from projects.oneformer.visualization import TaskVisualizer  # noqa: E402


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--out', required=True, metavar='DIR', help='where sheets are saved')
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        '--num',
        type=int,
        default=6,
        help='number of images, spread over all (default: 6)')
    which.add_argument(
        '--images',
        nargs='+',
        metavar='NAME',
        help='these images, named as their sheets, such as 000042')
    parser.add_argument(
        '--format',
        choices=('png', 'jpg'),
        default='png',
        help='of the sheets; jpg is a third of the size (default: png)')
    parser.add_argument(
        '--split',
        choices=('val', 'test'),
        default='val',
        help='images of which dataloader of the config (default: val)')
    parser.add_argument(
        '--score-thr',
        type=float,
        default=0.3,
        help='lowest score of a drawn instance (default: 0.3)')
    parser.add_argument(
        '--device', help='by default the first GPU, or else the CPU')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='settings that override the config, as key=value')
    args = parser.parse_args()
    if args.num < 1:
        parser.error(f'--num is {args.num}: at least 1 image is drawn')
    return args


def spread(length: int, count: int) -> List[int]:
    """At most ``count`` indices of ``length``, spread evenly."""
    return np.unique(np.linspace(0, length - 1,
                                 min(count,
                                     length)).round()).astype(int).tolist()


def sheet_names(paths: Sequence[str]) -> List[str]:
    """A name for each image, unlike any other's.

    The file's name without suffix, after as many of its folders as it takes;
    after its number where that does not help.
    """
    places = [Path(path).absolute().with_suffix('').parts for path in paths]
    for depth in range(1, max(map(len, places), default=0)):
        names = ['_'.join(place[-depth:]) for place in places]
        if len(set(names)) == len(names):
            return names
    return [f'{number:06d}_{place[-1]}' for number, place in enumerate(places)]


def chosen(names: Sequence[str], args: argparse.Namespace) -> List[int]:
    """Indices of the images to draw.

    Raises:
        ValueError: If one that is asked for is not there.
    """
    if args.images is None:
        return spread(len(names), args.num)
    missing = sorted(set(args.images) - set(names))
    if missing:
        similar = difflib.get_close_matches(missing[0], names)
        hint = f' (similar: {", ".join(similar)})' if similar else ''
        raise ValueError(f'no image of the {args.split} data is named '
                         f'{missing[0]}{hint}')
    return [names.index(name) for name in args.images]


def draw(args: argparse.Namespace) -> None:
    """Write a sheet per image and print its path.

    Raises:
        FileNotFoundError: If a file that is named does not exist.
        ValueError: If the config, its data or the checkpoint do not fit.
    """
    if not Path(args.checkpoint).is_file():
        raise FileNotFoundError(f'checkpoint {args.checkpoint} does not exist')
    cfg = apis.load_config(args.config, args.cfg_options)
    model = apis.OneFormerInferencer(cfg, args.checkpoint, args.device).model
    dataset = DATASETS.build(cfg[f'{args.split}_dataloader'].dataset)
    visualizer = TaskVisualizer()
    visualizer.dataset_meta = dataset.metainfo
    # of all images, so that a sheet has one name in every run
    names = sheet_names(
        [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))])
    for index in chosen(names, args):
        with torch.no_grad():
            sample, = model.test_step(pseudo_collate([dataset[index]]))
        out = Path(args.out) / f'{names[index]}.{args.format}'
        visualizer.add_datasample(
            out.stem,
            mmcv.imread(sample.img_path, channel_order='rgb'),
            sample,
            out_file=str(out),
            pred_score_thr=args.score_thr)
        print(f'picture: {out}')


def main() -> None:
    args = parse_args()
    # mmdet's point generator, on PyTorch's account
    warnings.filterwarnings('ignore', message='torch.meshgrid')
    try:
        draw(args)
    except (FileNotFoundError, ValueError) as error:
        print(f'draw_predictions.py: error: {error}', file=sys.stderr)
        sys.exit(2)


if __name__ == '__main__':
    main()
