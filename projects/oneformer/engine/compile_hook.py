"""Compilation of the model before a run."""
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper


@HOOKS.register_module()
class CompileHook(Hook):
    """Compile the model with ``OneFormer.compile`` before it runs.

    MMEngine's own ``compile`` setting compiles a whole training step, which
    matching and losses cut into pieces that are compiled anew for each number
    of masks.

    Args:
        **kwargs: Of ``torch.compile``.
    """

    def __init__(self, **kwargs) -> None:
        self.kwargs = kwargs

    def before_run(self, runner) -> None:
        model = runner.model
        if is_model_wrapper(model):
            model = model.module
        model.compile(**self.kwargs)
