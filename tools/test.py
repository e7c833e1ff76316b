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
from mmengine.config import Config, DictAction  # noqa: E402
from mmengine.dist import is_main_process  # noqa: E402
from mmengine.model import is_model_wrapper  # noqa: E402
from mmengine.runner import Runner  # noqa: E402

from projects.oneformer import apis, engine  # noqa: E402
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
        '--tta',
        action='store_true',
        help='average the semantic scores over scales and flips: those of '
        'tta_pipeline in the config, else 0.5 to 1.75 times the test size')
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
    if args.tta and args.tasks not in (None, ['semantic']):
        parser.error('--tta averages the scores of the semantic task: it does '
                     f'not go with --tasks {" ".join(args.tasks)}')
    if args.tta and args.task_table:
        parser.error('--tta does not go with --task-table')
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
        ValueError: If a task is unknown or has no evaluator, or views of
            images cannot be made.
    """
    if args.tta:
        args.tasks = ['semantic']
    if args.tasks:
        check_tasks(args.tasks)
    apis.check_checkpoint_file(args.checkpoint)
    cfg = apis.load_config(args.config, args.cfg_options, args.work_dir)
    cfg.launcher = args.launcher
    cfg.load_from = args.checkpoint
    cfg.resume = False
    cfg.model.test_cfg = cfg.model.get('test_cfg') or {}
    cfg.model.test_cfg.tasks = check_tasks(
        args.tasks or cfg.model.test_cfg.get('tasks') or TASKS)
    cfg.test_evaluator = evaluators_of(cfg, cfg.model.test_cfg.tasks)
    apis.check_evaluators(cfg, 'test')
    if args.tta:
        apis.augment_test_data(cfg)
    if args.out:
        cfg.test_evaluator.append(
            dict(type='DumpDetResults', out_file_path=args.out))
    if args.show or args.show_dir:
        cfg = trigger_visualization_hook(cfg, args)
    return cfg


def evaluators_of(cfg: Config, tasks: tuple) -> list:
    """The config's test evaluators that measure one of ``tasks``."""
    given = apis.evaluators(cfg, 'test')
    for task in tasks:
        if not any(is_main_evaluator(evaluator, task) for evaluator in given):
            raise ValueError(
                f'{cfg.filename} has no test evaluator for task {task!r}: '
                'add one, or leave the task out')
    return [
        evaluator for evaluator in given
        if apis.task_of_evaluator(evaluator) in tasks
    ]


def is_main_evaluator(evaluator: dict, task: str) -> bool:
    """Whether its results go under the name of the task.

    Those of others, such as of a second annotation, stand beside them.
    """
    prefix = evaluator.get('prefix') or getattr(
        apis.metric_class(evaluator), 'default_prefix', None)
    return apis.task_of_evaluator(evaluator) == task == prefix


class TestRunner(Runner):
    """Runner that leaves the config of a training in its folder alone."""

    def dump_config(self) -> None:
        """Write no config: the folder of the logs has that of the test."""


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


def fail(error: Exception) -> None:
    print(f'test.py: error: {error}', file=sys.stderr)
    sys.exit(2)


def main() -> None:
    args = parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    try:
        cfg = prepare(args)
    except (FileNotFoundError, ValueError) as error:
        fail(error)
    runner = TestRunner.from_cfg(cfg)
    if args.tta:
        runner.model = apis.averaging_model(cfg, runner.model)
    runner.register_hook(engine.CheckpointFitHook())
    try:
        apis.build_data(runner, ('test', ))
    except (ImportError, OSError, ValueError) as error:
        fail(error)
    try:
        run(runner, args)
    except engine.CheckpointMisfit as error:
        fail(error)


def run(runner: Runner, args: argparse.Namespace) -> None:
    """Evaluate, print and write what the command line asks for."""
    tasks = runner.cfg.model.test_cfg.tasks
    if args.task_table:
        results = evaluate_under_each_token(runner, tasks)
        table, name = apis.token_table(results, tasks), 'task_table.json'
        numbers = apis.under_own_tokens(results, tasks)
    else:
        numbers = results = evaluate(runner, tasks)
        table = apis.result_table(results, tasks)
        name = 'test_results_tta.json' if args.tta else 'test_results.json'
    if is_main_process():
        print(f'\n{table}')
        write_json(Path(runner.work_dir) / name, args, results)
        print(apis.summary_line(numbers, tasks))


if __name__ == '__main__':
    main()
