"""Evaluate one checkpoint on all three tasks in one pass over the data."""
import argparse
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# Before anything of mmdet, which it makes importable without compiled ops.
import projects.oneformer  # noqa: E402, F401, isort: skip

from mmdet.engine.hooks.utils import trigger_visualization_hook  # noqa: E402
from mmdet.registry import METRICS  # noqa: E402
from mmengine.config import Config, DictAction  # noqa: E402
from mmengine.dist import is_main_process  # noqa: E402
from mmengine.model import is_model_wrapper  # noqa: E402
from mmengine.runner import Runner  # noqa: E402

from projects.oneformer import apis  # noqa: E402
from projects.oneformer.tasks import TASKS, check_tasks  # noqa: E402


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file or address')
    parser.add_argument(
        '--tasks',
        nargs='+',
        metavar='TASK',
        help=f'what to evaluate, of {", ".join(TASKS)} '
        '(default: model.test_cfg.tasks of the config, else all)')
    parser.add_argument(
        '--task-table',
        action='store_true',
        help='evaluate the tasks under each task token, one pass each')
    parser.add_argument(
        '--work-dir',
        help='folder for logs and results '
        '(default: work_dirs/ and the name of the config)')
    parser.add_argument('--out', help='pickle file for the predictions')
    parser.add_argument(
        '--show', action='store_true', help='show the predictions')
    parser.add_argument(
        '--show-dir',
        help='folder, in that of the logs, for drawn predictions')
    parser.add_argument(
        '--wait-time',
        type=float,
        default=2,
        help='seconds that --show shows an image')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override the config, as in test_dataloader.batch_size=2 or '
        "key='[a,b]'; no blanks inside a value")
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='what starts the processes of a distributed run')
    # torch.distributed.launch passes it on; torchrun sets the variable only.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    if args.out and args.task_table:
        parser.error('--out keeps the predictions of one pass: it does not go '
                     'with --task-table')
    if args.out and not args.out.endswith(('.pkl', '.pickle')):
        parser.error(f'--out {args.out} must end in .pkl or .pickle')
    return args


def prepare(args: argparse.Namespace) -> Config:
    """The config with what the command line asks of it.

    Raises:
        FileNotFoundError: If a file that is named does not exist.
        ValueError: If a task is unknown or has no evaluator.
    """
    if args.tasks:
        check_tasks(args.tasks)
    if '://' not in args.checkpoint and not Path(args.checkpoint).is_file():
        raise FileNotFoundError(f'checkpoint {args.checkpoint} does not exist')
    cfg = apis.load_config(args.config, args.cfg_options, args.work_dir)
    cfg.launcher = args.launcher
    cfg.load_from = args.checkpoint
    cfg.resume = False
    cfg.model.test_cfg = cfg.model.get('test_cfg') or {}
    cfg.model.test_cfg.tasks = check_tasks(
        args.tasks or cfg.model.test_cfg.get('tasks') or TASKS)
    cfg.test_evaluator = evaluators_of(cfg, cfg.model.test_cfg.tasks)
    if args.out:
        cfg.test_evaluator.append(
            dict(type='DumpDetResults', out_file_path=args.out))
    if args.show or args.show_dir:
        cfg = trigger_visualization_hook(cfg, args)
    return cfg


def evaluators_of(cfg: Config, tasks: tuple) -> list:
    """The config's test evaluators that measure one of ``tasks``."""
    given = cfg.get('test_evaluator') or []
    given = given if isinstance(given, (list, tuple)) else [given]
    task_of = [_task_of_metric(evaluator.type) for evaluator in given]
    for task in tasks:
        if task not in task_of:
            raise ValueError(
                f'{cfg.filename} has no test evaluator for task {task!r}: '
                'leave it out of --tasks or add one')
    return [
        evaluator for evaluator, task in zip(given, task_of) if task in tasks
    ]


def _task_of_metric(metric):
    """The ``task`` of a metric class, given itself or its registered name."""
    metric = METRICS.get(metric) if isinstance(metric, str) else metric
    return getattr(metric, 'task', None)


def evaluate(runner: Runner, tasks: tuple) -> dict:
    """One pass over the data: the percentages of ``tasks``."""
    return apis.percentages(runner.test(), tasks)


def evaluate_under_each_token(runner: Runner, tasks: tuple) -> dict:
    """One pass per task token: token to the percentages of ``tasks``."""
    model = runner.model
    model = model.module if is_model_wrapper(model) else model
    results = {}
    for token in TASKS:
        model.test_cfg['task_token'] = token
        results[token] = evaluate(runner, tasks)
    return results


def write_json(path: Path, args: argparse.Namespace, results: dict) -> None:
    content = dict(
        config=args.config, checkpoint=args.checkpoint, results=results)
    path.write_text(json.dumps(content, indent=2) + '\n')
    print(f'\nwritten to {path}')


def main() -> None:
    args = parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    try:
        cfg = prepare(args)
    except (FileNotFoundError, ValueError) as error:
        print(f'test.py: error: {error}', file=sys.stderr)
        sys.exit(2)
    tasks = cfg.model.test_cfg.tasks
    runner = Runner.from_cfg(cfg)
    if args.task_table:
        results = evaluate_under_each_token(runner, tasks)
        table, name = apis.token_table(results, tasks), 'task_table.json'
        numbers = apis.under_own_tokens(results, tasks)
    else:
        numbers = results = evaluate(runner, tasks)
        table, name = apis.result_table(results, tasks), 'test_results.json'
    if is_main_process():
        print(f'\n{table}')
        write_json(Path(cfg.work_dir) / name, args, results)
        print(apis.summary_line(numbers, tasks))


if __name__ == '__main__':
    main()
