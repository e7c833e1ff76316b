"""Optimiser groups, finite gradients and checkpoints that can be resumed."""
from .atomic_backend import AtomicBackend
from .atomic_checkpoint_hook import AtomicCheckpointHook
from .checkpoint_fit_hook import CheckpointFitHook, CheckpointMisfit
from .compile_hook import CompileHook
from .finite_gradients_hook import FiniteGradientsHook
from .new_classes_hook import NewClassesHook
from .oneformer_optim_wrapper_constructor import \
    OneFormerOptimWrapperConstructor
from .resume import find_checkpoint, get_random_state, set_random_state

__all__ = [
    'AtomicBackend', 'AtomicCheckpointHook', 'CheckpointFitHook',
    'CheckpointMisfit', 'CompileHook', 'FiniteGradientsHook', 'NewClassesHook',
    'OneFormerOptimWrapperConstructor', 'find_checkpoint', 'get_random_state',
    'set_random_state'
]
