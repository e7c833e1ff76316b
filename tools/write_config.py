r"""Write a config for a data set of your own.

    # a COCO panoptic JSON with PNGs in the folder panoptic_train/ beside it
    python tools/write_config.py data/mine/panoptic_train.json \
        --images data/mine/train --val data/mine/panoptic_val.json \
        --val-images data/mine/val --out configs/custom/mine.py

    # COCO instance annotation
    python tools/write_config.py data/mine/instances_train.json \
        --images data/mine/train --out configs/custom/mine.py

    # a folder of label PNGs with the values 0, 1, 2
    python tools/write_config.py data/mine/labels --images data/mine/images \
        --classes road 'traffic light' sky --out configs/custom/mine.py

The kind of annotation is told from its content. It is checked, and images are
loaded with their maps: what is wrong is said, and no config is written.
"""
import argparse
import os
import sys
from pathlib import Path
from typing import Dict, Optional

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# Before anything of mmdet, which it makes importable without compiled ops.
import projects.oneformer  # noqa: E402, F401, isort: skip

from mmengine.config import Config  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402

from projects.oneformer.apis import config_writer  # noqa: E402
from projects.oneformer.datasets import survey  # noqa: E402


def positive(text: str) -> int:
    """A number above zero."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'{number} must be 1 or more')
    return number


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        fromfile_prefix_chars='@')
    parser.add_argument(
        'annotation',
        help='COCO panoptic JSON, COCO instance JSON or folder of label PNGs')
    parser.add_argument(
        '--images', required=True, metavar='DIR', help='folder of images')
    parser.add_argument(
        '--out', required=True, metavar='FILE', help='config to write')
    parser.add_argument(
        '--val',
        metavar='ANNOTATION',
        help='annotation for validation (default: none is done)')
    parser.add_argument(
        '--val-images',
        metavar='DIR',
        help='folder of its images (default: that of --images)')
    add_data_arguments(parser)
    training = parser.add_argument_group('training')
    training.add_argument(
        '--model', choices=config_writer.model_names(), default='r50')
    training.add_argument(
        '--load-from',
        metavar='CHECKPOINT',
        help='OneFormer of other classes to start from')
    training.add_argument(
        '--batch-size', type=positive, default=4, help='images per GPU (4)')
    training.add_argument(
        '--iterations',
        type=positive,
        help='steps of training (default: for 50 epochs, or 20 from a '
        'checkpoint, but 1000 to 90000)')
    training.add_argument(
        '--crop-size',
        type=positive,
        help='pixels (default: the short side of the images, at most 512)')
    return parser.parse_args()


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """What some kinds of annotation need."""
    panoptic = parser.add_argument_group('COCO panoptic JSON')
    panoptic.add_argument(
        '--pngs',
        metavar='DIR',
        help='folder of panoptic PNGs (default: the JSON without .json)')
    panoptic.add_argument(
        '--val-pngs', metavar='DIR', help='the same for validation')
    panoptic.add_argument(
        '--allow-unlisted',
        action='store_true',
        help='accept PNGs that the JSON does not name')
    semantic = parser.add_argument_group('label PNGs')
    semantic.add_argument(
        '--classes',
        nargs='+',
        metavar='NAME',
        help='names of the classes in the order of their values; @FILE takes '
        'them from the lines of a file')
    semantic.add_argument(
        '--values',
        nargs='+',
        type=int,
        metavar='N',
        help='value of each class (default: 0, 1, 2, ... and 255 for void); '
        'others are void')
    semantic.add_argument(
        '--img-suffix', help='end of image names (default: any extension)')
    semantic.add_argument(
        '--sem-suffix',
        default='.png',
        help='what label PNGs have in its place (default: .png)')


def find_splits(args: argparse.Namespace) -> Dict[str, dict]:
    """Settings of the data sets for training and, if asked, validation."""
    train = find_split(args, args.annotation, args.images, args.pngs)
    if not args.val:
        return set_roots(dict(train=train))
    val = find_split(args, args.val, args.val_images or args.images,
                     args.val_pngs)
    if val['type'] != train['type']:
        raise ValueError(f'{args.annotation} is for {train["type"]}, '
                         f'{args.val} for {val["type"]}: they must be of the '
                         'same kind')
    if 'seg' in train['data_prefix'] and os.path.samefile(
            train['data_prefix']['seg'], val['data_prefix']['seg']):
        # each JSON names its own PNGs
        train['allow_unlisted'] = val['allow_unlisted'] = True
    return set_roots(dict(train=train, val=val))


def find_split(args: argparse.Namespace, annotation: str, images: str,
               pngs: Optional[str]) -> dict:
    """Settings of the data set that reads an annotation."""
    settings = dict(type=survey.dataset_type(annotation))
    folders = dict(img=images)
    if settings['type'] == 'SemanticDataset':
        folders['sem'] = annotation
        settings.update(semantic_settings(args, annotation))
    else:
        settings['ann_file'] = annotation
    if settings['type'] == 'PanopticDataset':
        folders['seg'] = pngs or os.path.splitext(annotation)[0]
        if args.allow_unlisted:
            settings['allow_unlisted'] = True
    for folder in folders.values():
        if not os.path.isdir(folder):
            raise FileNotFoundError(f'folder {folder} does not exist')
    return dict(settings, data_prefix=folders)


def semantic_settings(args: argparse.Namespace, folder: str) -> dict:
    """What the command line says of label PNGs."""
    if not args.classes:
        raise ValueError(f'the label PNGs in {folder} do not tell the names '
                         'of their classes: give them with --classes, in the '
                         'order of their values')
    numbers = args.values or list(range(len(args.classes)))
    if len(numbers) != len(args.classes):
        raise ValueError(f'--values has {len(numbers)} numbers, --classes '
                         f'{len(args.classes)} names: each class needs one')
    settings = dict(categories=args.classes)
    if numbers == list(range(1, len(numbers) + 1)):
        settings['reduce_zero_label'] = True
    elif numbers != list(range(len(numbers))):
        settings['values'] = dict(zip(args.classes, numbers))
    if args.img_suffix:
        settings['img_suffix'] = args.img_suffix
    if args.sem_suffix != '.png':
        settings['sem_suffix'] = args.sem_suffix
    return settings


def set_roots(splits: Dict[str, dict]) -> Dict[str, dict]:
    """State all paths below the folder that they have in common."""
    paths = [
        os.path.abspath(path) for split in splits.values()
        for path in (split.get('ann_file'), *split['data_prefix'].values())
        if path
    ]
    root = os.path.commonpath(paths)
    if os.path.commonpath([root, os.getcwd()]) == os.getcwd():
        root = os.path.relpath(root)
    for split in splits.values():
        split['data_root'] = f'{root}/'
        if 'ann_file' in split:
            split['ann_file'] = os.path.relpath(split['ann_file'], root)
        split['data_prefix'] = {
            key: os.path.relpath(folder, root) + '/'
            for key, folder in split['data_prefix'].items()
        }
    return splits


def write(args: argparse.Namespace) -> str:
    """Check the data and write the config; what to do next.

    Raises:
        FileNotFoundError, ValueError: If something is missing or wrong.
    """
    out = Path(args.out)
    if out.exists():
        raise ValueError(f'--out {out} exists: remove it or name another file')
    if out.suffix != '.py':
        raise ValueError(f'--out {out} must end in .py')
    splits = find_splits(args)
    found = {name: survey.survey(split) for name, split in splits.items()}
    check_same_classes(found)
    training = config_writer.Training(args.model, args.load_from,
                                      args.batch_size, args.iterations,
                                      args.crop_size)
    text = config_writer.config_text(splits, found['train'], training,
                                     str(out.parent))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text)
    return summary(out, found['train'])


def check_same_classes(found: Dict[str, survey.Survey]) -> None:
    """Refuse splits of different classes."""
    first, *others = (data.metainfo['classes'] for data in found.values())
    for other in others:
        if other != first:
            different = set(first) ^ set(other)
            raise ValueError(
                'the categories of training and validation differ in '
                f'{", ".join(sorted(different)) or "their order"}')


def summary(out: Path, found: survey.Survey) -> str:
    """What was written, what may not suffice, and what to do next."""
    lines = [
        f'{out}: {found.num_images} images of '
        f'{len(found.metainfo["classes"])} classes'
    ]
    queries = Config.fromfile(out).model.panoptic_head.num_queries
    if found.most_masks > queries:
        lines.append(
            f'note: an image has {found.most_masks} masks, the model '
            f'{queries} queries: raise model.panoptic_head.num_queries')
    return '\n'.join([*lines, f'train with: python tools/train.py {out}'])


def main() -> None:
    init_default_scope('mmdet')
    try:
        print(write(parse_args()))
    except (FileNotFoundError, ValueError) as error:
        print(f'write_config.py: error: {error}', file=sys.stderr)
        sys.exit(2)


if __name__ == '__main__':
    main()
