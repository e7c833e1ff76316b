"""Answer images and videos, and save what other tools read.

    python tools/infer.py INPUT... CONFIG CHECKPOINT --tasks TASK... --out DIR

Run again, it does what is not done yet.
"""
import argparse
import hashlib
import json
import sys
import warnings
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# Before anything of mmdet, which it makes importable without compiled ops.
import projects.oneformer  # noqa: E402, F401, isort: skip

from mmengine.config import DictAction  # noqa: E402

from projects.oneformer import apis  # noqa: E402
from projects.oneformer.tasks import TASKS, check_tasks  # noqa: E402


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'inputs',
        nargs='+',
        metavar='INPUT',
        help='image, video, folder of these, or quoted pattern such as '
        "'images/**/*.jpg'")
    parser.add_argument(
        'config', help='config file, or name of a model in model-index.yml')
    parser.add_argument('checkpoint', help='checkpoint file or address')
    parser.add_argument(
        '--tasks',
        nargs='+',
        metavar='TASK',
        help=f'what to answer, of {", ".join(TASKS)} '
        '(default: model.test_cfg.tasks of the config, else all)')
    parser.add_argument(
        '--out', required=True, metavar='DIR', help='where results go')
    parser.add_argument(
        '--save',
        nargs='+',
        default=['overlay'],
        metavar='FORMAT',
        help='overlay: a picture for each task; sheet: all tasks side by '
        'side; coco-panoptic: PNGs and a JSON; coco-instance: a JSON; '
        'semantic: PNGs of the place of each class in categories.json '
        '(default: overlay)')
    parser.add_argument(
        '--palette',
        action='store_true',
        help='give semantic PNGs the colors of the classes')
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
        metavar='KEY=VALUE',
        help='override the config, as in model.test_cfg.object_mask_thr=0.5')
    return parser.parse_args()


def prepare(args: argparse.Namespace) -> tuple:
    """What is to be done: files, bad inputs, and what does it.

    Raises:
        FileNotFoundError: If no input, the config or the checkpoint exists.
        OutputError: If results cannot be written.
        ValueError: If something else is wrong with an argument.
    """
    files, errors = apis.find_files(args.inputs, but_below=Path(args.out))
    if not files:
        raise FileNotFoundError('; '.join(errors) or 'there is no input')
    cfg = apis.inference_config(args.config, args.cfg_options)
    tasks = check_tasks(
        args.tasks or (cfg.model.get('test_cfg') or {}).get('tasks', TASKS))
    products = apis.products_of(args.save, tasks)
    content = json.dumps(cfg.to_dict(), sort_keys=True, default=str)
    inferencer = apis.OneFormerInferencer(
        cfg, args.checkpoint, args.device, show_progress=False)
    settings = dict(
        config=args.config,
        checkpoint=args.checkpoint,
        checkpoint_written=written_at(args.checkpoint),
        tasks=tasks,
        palette=args.palette,
        score_thr=args.score_thr,
        cfg_options=args.cfg_options,
        config_content=hashlib.sha256(content.encode()).hexdigest()[:8])
    folder = apis.ResultFolder(
        Path(args.out), settings, inferencer.model.dataset_meta)
    return files, errors, apis.BatchInference(inferencer, folder, products,
                                              args.score_thr, args.palette)


def written_at(path: str) -> str:
    """When a file was written; nothing of an address."""
    if not Path(path).is_file():
        return ''
    return datetime.fromtimestamp(Path(path).stat().st_mtime).isoformat()


def main() -> None:
    args = parse_args()
    # mmdet's point generator, on PyTorch's account
    warnings.filterwarnings('ignore', message='torch.meshgrid')
    try:
        files, errors, batch = prepare(args)
    except (FileNotFoundError, ValueError, apis.OutputError) as error:
        print(f'infer.py: error: {apis.one_line(error)}', file=sys.stderr)
        sys.exit(2)
    stopped = None
    try:
        batch.run(files)
    except apis.OutputError as error:
        stopped = f'{error}; what is done is valid, run again to go on'
    except KeyboardInterrupt:
        stopped = 'interrupted; what is done is valid, run again to go on'
    report = batch.report
    errors += report.errors
    print(f'{args.out}: images answered: {report.done}, answered before: '
          f'{report.skipped}, failed inputs: {len(errors)}')
    for message in errors + [stopped] * bool(stopped):
        print(f'infer.py: error: {message}', file=sys.stderr)
    sys.exit(2 if stopped else 1 if errors else 0)


if __name__ == '__main__':
    main()
