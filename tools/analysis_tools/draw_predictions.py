"""Draws what a model answers for a handful of validation images.

    python tools/analysis_tools/draw_predictions.py CONFIG CHECKPOINT --out DIR

Each sheet shows an image, its annotation, and the answer to each task.
"""
import argparse
import sys
from pathlib import Path
from typing import List

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import projects.oneformer  # noqa: E402, F401, isort: skip
import mmcv  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from mmdet.apis import init_detector  # noqa: E402
from mmdet.registry import DATASETS  # noqa: E402
from mmengine.config import DictAction  # noqa: E402
from mmengine.dataset import pseudo_collate  # noqa: E402

from projects.oneformer.apis import load_config  # noqa: E402
from projects.oneformer.visualization import TaskVisualizer  # noqa: E402


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--out', required=True, metavar='DIR', help='where sheets are saved')
    parser.add_argument(
        '--num', type=int, default=6, help='number of images (default: 6)')
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


def draw(args: argparse.Namespace) -> None:
    """Write a sheet per image and print its path.

    Raises:
        FileNotFoundError: If a file that is named does not exist.
        ValueError: If the config, its data or the checkpoint do not fit.
    """
    if not Path(args.checkpoint).is_file():
        raise FileNotFoundError(f'checkpoint {args.checkpoint} does not exist')
    cfg = load_config(args.config, args.cfg_options)
    device = args.device or ('cuda:0' if torch.cuda.is_available() else 'cpu')
    model = init_detector(cfg, args.checkpoint, device=device)
    dataset = DATASETS.build(cfg[f'{args.split}_dataloader'].dataset)
    visualizer = TaskVisualizer()
    visualizer.dataset_meta = dataset.metainfo
    for index in spread(len(dataset), args.num):
        with torch.no_grad():
            sample, = model.test_step(pseudo_collate([dataset[index]]))
        out = Path(args.out) / f'{Path(sample.img_path).stem}.png'
        visualizer.add_datasample(
            out.stem,
            mmcv.imread(sample.img_path, channel_order='rgb'),
            sample,
            out_file=str(out),
            pred_score_thr=args.score_thr)
        print(f'picture: {out}')


def main() -> None:
    args = parse_args()
    try:
        draw(args)
    except (FileNotFoundError, ValueError) as error:
        print(f'draw_predictions.py: error: {error}', file=sys.stderr)
        sys.exit(2)


if __name__ == '__main__':
    main()
