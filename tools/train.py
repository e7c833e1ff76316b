"""Train a model as its config says."""
import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# Before anything of mmdet, which it makes importable without compiled ops.
import projects.oneformer  # noqa: E402, F401, isort: skip

from mmengine.config import Config, DictAction  # noqa: E402
from mmengine.device import get_device  # noqa: E402
from mmengine.runner import Runner  # noqa: E402

from projects.oneformer import apis, engine  # noqa: E402


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--work-dir',
        help='folder for logs and checkpoints '
        '(default: work_dirs/ and the name of the config)')
    parser.add_argument(
        '--amp', action='store_true', help='train in mixed precision')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate by the batch size over '
        'auto_scale_lr.base_batch_size')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='continue from this checkpoint or, without a value, from the '
        'last complete one in the work dir')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override the config, as in train_cfg.max_iters=100 or '
        "key='[a,b]'; no blanks inside a value")
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='what starts the processes of a distributed run')
    # torch.distributed.launch passes it on; torchrun sets the variable only.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    return parser.parse_args()


def prepare(args: argparse.Namespace) -> Config:
    """The config with what the command line asks of it.

    Raises:
        FileNotFoundError: If a file that is named does not exist.
        ValueError: If the config does not allow what is asked.
    """
    cfg = apis.load_config(args.config, args.cfg_options, args.work_dir)
    cfg.launcher = args.launcher
    if args.amp:
        use_mixed_precision(cfg)
    elif get_device() == 'cpu':
        use_float32(cfg)
    if args.auto_scale_lr:
        if not (cfg.get('auto_scale_lr') or {}).get('base_batch_size'):
            raise ValueError(f'--auto-scale-lr: {args.config} does not state '
                             'auto_scale_lr.base_batch_size')
        cfg.auto_scale_lr.enable = True
    if args.resume:
        resume(cfg, args.resume)
    apis.check_initial_weights(cfg)
    apis.check_evaluators(cfg, 'val')
    apis.check_training_tasks(cfg)
    return cfg


def use_mixed_precision(cfg: Config) -> None:
    """Exchange the optimizer wrapper for the one with a gradient scaler."""
    if get_device() == 'cpu':
        raise ValueError('--amp needs a GPU, and none was found')
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')


def use_float32(cfg: Config) -> None:
    """Exchange a wrapper with a gradient scaler, which needs a GPU."""
    if cfg.optim_wrapper.get('type') == 'AmpOptimWrapper':
        print('no GPU was found: training in float32 in place of mixed '
              'precision')
        cfg.optim_wrapper.type = 'OptimWrapper'
        for key in ('loss_scale', 'dtype', 'use_fsdp'):
            cfg.optim_wrapper.pop(key, None)


def resume(cfg: Config, checkpoint: str) -> None:
    """Let the run continue from a checkpoint, 'auto' being the last one."""
    if checkpoint != 'auto':
        if '://' not in checkpoint and not Path(checkpoint).is_file():
            raise FileNotFoundError(
                f'--resume: checkpoint {checkpoint} does not exist')
        cfg.load_from, cfg.resume = checkpoint, True
        return
    found = engine.find_checkpoint(cfg.work_dir)
    if found is None:
        # The weights that the config starts from stay in place.
        print(f'--resume: {cfg.work_dir} has no complete checkpoint, '
              'training starts from the beginning')
    else:
        cfg.load_from, cfg.resume = found, True


def fail(error: Exception) -> None:
    print(f'train.py: error: {error}', file=sys.stderr)
    sys.exit(2)


def main() -> None:
    args = parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    try:
        cfg = prepare(args)
    except (FileNotFoundError, ValueError) as error:
        fail(error)
    runner = Runner.from_cfg(cfg)
    runner.register_hook(engine.CheckpointFitHook())
    try:
        apis.build_data(runner, ('train', 'val'))
    except (ImportError, OSError, ValueError) as error:
        fail(error)
    try:
        runner.train()
    except engine.CheckpointMisfit as error:
        fail(error)


if __name__ == '__main__':
    main()
