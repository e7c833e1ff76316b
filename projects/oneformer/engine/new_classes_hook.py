"""Start the training of other classes from a trained model."""
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop

#: What depends on the classes: the classifiers, and what reads their names.
CLASS_PARTS = ('panoptic_head.cls_embed.', 'panoptic_head.query_cls_embed.',
               'panoptic_head.text_mapper.', 'panoptic_head.loss_contrastive.')


@HOOKS.register_module()
class NewClassesHook(Hook):
    """Take all but the classifier and the text mapper from ``load_from``.

    For training on a data set of other classes::

        load_from = 'checkpoints/oneformer_swin-l_coco.pth'
        custom_hooks = [dict(type='NewClassesHook')]

    Both start anew, and so does the contrastive temperature. Testing and
    resuming load checkpoints whole, as without the hook.
    """

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Remove the parts from a checkpoint that training starts from."""
        # the loop is built when training begins
        if runner._resume or not isinstance(runner._train_loop, BaseLoop):
            return
        state = checkpoint.get('state_dict', checkpoint)
        names = [name for name in state if name.startswith(CLASS_PARTS)]
        for name in names:
            del state[name]
        runner.logger.info(
            f'New classes: {len(names)} tensors of classifier and text mapper '
            'are not taken from the checkpoint and start anew.')
