"""Checkpoints of which one always survives, and which resume exactly."""
from pathlib import Path
from typing import Optional

import torch
from mmdet.registry import HOOKS
from mmengine.dist import all_gather_object, get_rank, is_main_process
from mmengine.hooks import CheckpointHook

from .atomic_backend import UNFINISHED, AtomicBackend
from .resume import get_random_state, set_random_state


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """MMEngine's checkpoint hook, safe against being killed at any moment.

    MMEngine writes a checkpoint in place and removes the one before first, so
    that a kill in between leaves neither. Here a checkpoint appears under its
    name when it is complete, then ``last_checkpoint`` names it, and only then
    outdated ones go.

    MMEngine keeps iteration, optimizer and schedule. This hook adds the seed
    of the training sampler, without which a run of no given seed would resume
    on another sequence of samples, and the random state of every process.
    The samples after resuming are those of the uninterrupted run; so is their
    augmentation when ``num_workers=0``. Worker processes start anew from
    their seed.

    Takes the arguments of `mmengine.hooks.CheckpointHook`.
    """

    def __init__(self,
                 *args,
                 out_dir: Optional[str] = None,
                 backend_args: Optional[dict] = None,
                 **kwargs) -> None:
        if backend_args is None and '://' not in str(out_dir):
            backend_args = dict(backend='atomic')
        super().__init__(
            *args, out_dir=out_dir, backend_args=backend_args, **kwargs)
        self._random_states = None
        self._loaded = {}

    def before_train(self, runner) -> None:
        """Clear up after a kill and, if resumed, restore the random state."""
        super().before_train(runner)
        if is_main_process():
            for path in Path(self.out_dir).glob(f'*{UNFINISHED}'):
                path.unlink()
        if runner.iter > 0:
            self._restore(runner)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Add what MMEngine leaves out to a checkpoint to resume from."""
        if 'optimizer' in checkpoint and self._random_states is not None:
            checkpoint['random_states'] = self._random_states
            sampler = _train_sampler(runner)
            checkpoint['sampler_seed'] = getattr(sampler, 'seed', None)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Note what `before_train` restores when the run is resumed."""
        self._loaded = {
            key: checkpoint.get(key)
            for key in ('random_states', 'sampler_seed')
        }

    def _restore(self, runner) -> None:
        """Continue the sampler and the random numbers of a resumed run."""
        seed = self._loaded.get('sampler_seed')
        if seed is not None:
            # The loop skips the samples already seen after this.
            _train_sampler(runner).seed = seed
        states = self._loaded.get('random_states')
        if not states or len(states) != runner.world_size:
            runner.logger.info(
                'The checkpoint has no random state for this number of '
                'processes: augmentation and dropout start anew.')
            return
        set_random_state(states[get_rank()])
        # Its own generator keeps the loader, which draws a seed when it
        # starts, from moving the restored one.
        runner.train_dataloader.generator = torch.Generator()

    def _save_checkpoint_with_step(self, runner, step, meta) -> None:
        """Write, then name, then remove; MMEngine removes, writes, names."""
        outdated = self._outdated(runner, step)
        filename = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, filename)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        self._random_states = all_gather_object(get_random_state())
        runner.save_checkpoint(
            self.out_dir,
            filename,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args)
        if is_main_process():
            AtomicBackend().put_text(
                str(self.last_ckpt),
                Path(runner.work_dir) / 'last_checkpoint')
            for path in outdated:
                self._remove(path)

    def _outdated(self, runner, step: int) -> list:
        """Enter ``step`` into the list of those kept; the paths to remove."""
        if self.max_keep_ckpts <= 0 or step in self.keep_ckpt_ids:
            return []
        steps = [*self.keep_ckpt_ids, step]
        gone = steps[:-self.max_keep_ckpts]
        self.keep_ckpt_ids.append(step)  # drops the oldest when it is full
        runner.message_hub.update_info('keep_ckpt_ids',
                                       list(self.keep_ckpt_ids))
        return [
            self.file_backend.join_path(self.out_dir,
                                        self.filename_tmpl.format(old))
            for old in gone
        ]

    def _save_best_checkpoint(self, runner, metrics) -> None:
        """Remove the best so far after its successor is written."""
        if not self.save_best:
            return
        before = self._best_paths()
        # So MMEngine finds nothing to remove, and a path means a new best.
        self._set_best_paths(dict.fromkeys(before))
        super()._save_best_checkpoint(runner, metrics)
        after = self._best_paths()
        self._set_best_paths({key: after[key] or before[key] for key in after})
        for key, old in before.items():
            if old and after[key] not in (None, old) and is_main_process():
                self._remove(old)

    def _best_paths(self) -> dict:
        """The best checkpoint by metric; under None if there is one metric."""
        if hasattr(self, 'best_ckpt_path'):
            return {None: self.best_ckpt_path}
        return dict(self.best_ckpt_path_dict)

    def _set_best_paths(self, paths: dict) -> None:
        if hasattr(self, 'best_ckpt_path'):
            self.best_ckpt_path = paths[None]
        else:
            self.best_ckpt_path_dict = paths

    def _remove(self, path: str) -> None:
        """Remove a checkpoint, if it is still there."""
        if self.file_backend.isfile(path):
            self.file_backend.remove(path)


def _train_sampler(runner):
    """The sampler of the training data, inside its batch sampler."""
    return getattr(runner.train_dataloader.batch_sampler, 'sampler', None)
