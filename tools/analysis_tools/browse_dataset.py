"""Draws what each task makes of the images of a data set.

    python tools/analysis_tools/browse_dataset.py CONFIG --out DIR

Each sheet shows an image as the training pipeline augments it, the masks that
each task makes of it, and below them the texts, padding included. All tasks
see the same augmentation. Of a config with several data sets, images of each
are drawn, with those tasks that its annotation can answer.

Images of validation and test data are shown as their pipeline resizes them,
with the annotation that their data set has.
"""
import argparse
import sys
from pathlib import Path
from typing import Iterator, List, Optional, Tuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import projects.oneformer  # noqa: E402, F401, isort: skip
import mmcv  # noqa: E402
from mmdet.registry import DATASETS  # noqa: E402
from mmengine.config import Config, DictAction  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402

from projects.oneformer.apis import load_config  # noqa: E402
from projects.oneformer.datasets import task_views as views  # noqa: E402
from projects.oneformer.tasks import TASKS, check_tasks  # noqa: E402
from projects.oneformer.visualization import training_sheet  # noqa: E402
from tools.analysis_tools import draw_predictions  # noqa: E402


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--out', required=True, metavar='DIR', help='where sheets are saved')
    parser.add_argument(
        '--num',
        type=int,
        default=6,
        help='number of images, spread over all, of each data set '
        '(default: 6)')
    parser.add_argument(
        '--tasks',
        nargs='+',
        default=TASKS,
        metavar='TASK',
        help=f'of {", ".join(TASKS)} (default: all)')
    parser.add_argument(
        '--split',
        choices=('train', 'val', 'test'),
        default='train',
        help='images of which dataloader of the config (default: train)')
    parser.add_argument(
        '--seed',
        type=int,
        default=0,
        help='another one augments images in another way (default: 0)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='settings that override the config')
    args = parser.parse_args()
    if args.num < 1:
        parser.error(f'--num is {args.num}: at least 1 image is drawn')
    return args


def number_of_texts(cfg: Config) -> Optional[int]:
    """Texts of an image, padding included; None if the model has none."""
    head = cfg.model.get('panoptic_head') or {}
    mapper = head.get('text_mapper')
    if not mapper:
        return None
    return mapper.get('num_texts', head.num_queries - mapper.num_context)


def chosen(cfg: Config, args: argparse.Namespace) -> List[Tuple]:
    """The images to draw: data set, index, path and tasks of each.

    Raises:
        ValueError: If no annotation can answer any task that is asked.
    """
    loader = cfg.get(f'{args.split}_dataloader')
    if not loader:
        raise ValueError(f'{args.config} has no {args.split}_dataloader')
    images, drawn = [], set()
    for dataset in views.data_sets(DATASETS.build(loader.dataset)):
        possible = views.task_chances(dataset)
        drawn.update(possible)
        tasks = [task for task in args.tasks if task in possible]
        places = draw_predictions.spread(len(dataset), args.num)
        images += [(dataset, index, dataset.get_data_info(index)['img_path'],
                    tasks) for index in places if tasks]
    if not images:
        raise ValueError(f'the {args.split} data draw no '
                         f'{" or ".join(args.tasks)} task, but '
                         f'{", ".join(t for t in TASKS if t in drawn)}')
    return images


def browse(args: argparse.Namespace) -> Iterator[str]:
    """Write a sheet per image and yield what became of it.

    Raises:
        OSError: If a file is missing or cannot be written.
        ValueError: If the config or its data do not fit.
    """
    check_tasks(args.tasks)
    cfg = load_config(args.config, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    images = chosen(cfg, args)
    names = draw_predictions.sheet_names([path for _, _, path, _ in images])
    for name, (dataset, index, path, tasks) in zip(names, images):
        found = views.task_views(dataset, index, tasks, args.seed + index)
        if not found:
            yield f'{path} is dropped by a transform: training takes another'
            continue
        remarks = [f'data set: {type(dataset).__name__}']
        if args.split == 'train':
            remarks += [
                f'drawn as {task}: {chance:.0%}'
                for task, chance in views.task_chances(dataset).items()
            ]
        meta = dataset.metainfo
        sheet = training_sheet.training_sheet(found, meta['classes'],
                                              meta['palette'], remarks,
                                              number_of_texts(cfg))
        out = Path(args.out) / f'{name}.png'
        mmcv.imwrite(sheet[..., ::-1], str(out))
        yield f'picture: {out}'


def main() -> None:
    args = parse_args()
    try:
        for line in browse(args):
            print(line)
    except (OSError, ValueError) as error:
        print(f'browse_dataset.py: error: {error}', file=sys.stderr)
        sys.exit(2)


if __name__ == '__main__':
    main()
