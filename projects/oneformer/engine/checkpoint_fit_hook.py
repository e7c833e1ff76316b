"""Refuse a checkpoint that would leave parts of the model random."""
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper

from .new_classes_hook import CLASS_PARTS, NewClassesHook

#: What only training needs, and a checkpoint may therefore lack.
TRAINING_PARTS = tuple(
    part for part in CLASS_PARTS if not part.endswith('.cls_embed.'))
#: Buffers that are no weights.
_COMPUTED = ('relative_position_index', 'num_batches_tracked')


class CheckpointMisfit(ValueError):
    """A checkpoint that was loaded does not fit the model."""


@HOOKS.register_module()
class CheckpointFitHook(Hook):
    """Compare a checkpoint with the model, of which MMEngine only warns.

    Its tensors must have the shapes of the model's, and it must have all of
    them but what only training needs, what is no weight, and the parts that
    `NewClassesHook` starts anew.
    """
    # After the hooks that change checkpoints.
    priority = 'LOWEST'

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Compare before the tensors are copied.

        Raises:
            CheckpointMisfit: If the checkpoint does not fit.
        """
        model = runner.model
        while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
            model = model.module
        found = {
            name.removeprefix('module.'): tensor
            for name, tensor in checkpoint.get(
                'state_dict', checkpoint).items() if hasattr(tensor, 'shape')
        }
        new = any(
            isinstance(hook, NewClassesHook) and hook.applies(runner)
            for hook in runner.hooks)
        optional = CLASS_PARTS if new else TRAINING_PARTS
        problems = _compare(found, model.state_dict(), optional)
        if problems:
            raise CheckpointMisfit(f'checkpoint {runner._load_from} does not '
                                   f'fit the model: {"; ".join(problems)}')


def _compare(found: dict, expected: dict, optional: tuple) -> list:
    """What is wrong with the tensors of a checkpoint, in words."""
    if not set(found) & set(expected):
        return [
            'it has no tensor of the same name. Checkpoints of other code are '
            'converted with tools/model_converters'
        ]
    missing = [
        name for name in expected if name not in found
        and not name.startswith(optional) and not name.endswith(_COMPUTED)
    ]
    wrong = [
        name for name, tensor in found.items()
        if name in expected and tensor.shape != expected[name].shape
    ]
    problems = []
    if wrong:
        shapes = (
            list(tensors[wrong[0]].shape) for tensors in (found, expected))
        problems.append(
            '{} tensor(s) of another shape, {} {} instead of {}'.format(
                len(wrong), wrong[0], *shapes))
        if all(name.startswith(CLASS_PARTS) for name in wrong):
            problems.append('to train other classes from it, add '
                            "custom_hooks=[dict(type='NewClassesHook')]")
    if missing:
        problems.append(
            f'{len(missing)} tensor(s) missing, {missing[0]} the first')
    return problems
