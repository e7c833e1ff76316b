"""Start the training of other classes from a trained model."""
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop

CLASSIFIERS = ('panoptic_head.cls_embed.', 'panoptic_head.query_cls_embed.')
#: What reads the names of classes, and the contrastive temperature.
TEXT_PARTS = ('panoptic_head.text_mapper.', 'panoptic_head.loss_contrastive.')
#: What depends on the classes.
CLASS_PARTS = CLASSIFIERS + TEXT_PARTS


@HOOKS.register_module()
class NewClassesHook(Hook):
    """Take all but the classifier and the text mapper from ``load_from``.

    For training on a data set of other classes::

        load_from = 'checkpoints/oneformer_swin-l_coco.pth'
        custom_hooks = [dict(type='NewClassesHook')]

    Both start anew, and so does the contrastive temperature. Testing and
    resuming load checkpoints whole, as without the hook.

    Args:
        keep_text_mapper (bool): Whether text mapper and temperature are taken
            as well, as in published runs that go from one data set to
            another. Checkpoints of Hugging Face have neither.
    """

    def __init__(self, keep_text_mapper: bool = False) -> None:
        self.parts = CLASSIFIERS if keep_text_mapper else CLASS_PARTS

    @staticmethod
    def applies(runner) -> bool:
        """Whether a checkpoint is loaded for training to start from it."""
        # the loop is built when training begins
        return not runner._resume and isinstance(runner._train_loop, BaseLoop)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Remove the parts from a checkpoint that training starts from."""
        if not self.applies(runner):
            return
        state = checkpoint.get('state_dict', checkpoint)
        names = [name for name in state if name.startswith(self.parts)]
        for name in names:
            del state[name]
        runner.logger.info(
            f'New classes: {len(names)} tensors that depend on them are not '
            'taken from the checkpoint and start anew.')
