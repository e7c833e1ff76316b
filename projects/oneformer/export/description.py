"""What an exported file says of itself, and the model behind it."""
from typing import Optional, Tuple

from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from ..apis.loading import (class_metainfo, fill_class_counts, load_fitting,
                            read_checkpoint, saved_classes)
from ..models import OneFormer
from ..tasks import TASKS
from .network import SIZE_DIVISOR


def load_model(cfg: Config, checkpoint: str) -> Tuple[OneFormer, dict]:
    """Build the model of a config without what only training needs.

    Args:
        cfg (Config): Its model gets the class counts where it has none, from
            the checkpoint or the data set.
        checkpoint (str): Path. No code in the file is run.

    Returns:
        tuple: The model in evaluation mode, and its classes as
        `class_metainfo` gives them.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint, does not fit the config or has
            classes without names.
    """
    content = read_checkpoint(checkpoint)
    saved = saved_classes(content)
    fill_class_counts(cfg, saved)
    metainfo = class_metainfo(cfg, saved)
    cfg.model.panoptic_head.update(text_mapper=None, loss_contrastive=None)
    init_default_scope('mmdet')
    model = MODELS.build(cfg.model)
    load_fitting(model, content, checkpoint)
    return model.eval().requires_grad_(False), metainfo


def describe(model: OneFormer,
             cfg: Config,
             metainfo: dict,
             shape: Optional[Tuple[int, int]] = None) -> dict:
    """What is needed to use an exported model without this package.

    Args:
        model (OneFormer): Of the config.
        cfg (Config): Says how test images are resized.
        metainfo (dict): Names the classes.
        shape (tuple[int, int], optional): Height and width of the image
            where they are fixed.

    Returns:
        dict: Fit for JSON: ``tasks`` (task to token ids), ``classes`` (names
        in the order of the logits), ``num_things`` (how many of them are
        things; these come first), ``shape``, ``size_divisor``, ``resize``
        (longest and shortest edge of a test image at most, or None),
        ``padding`` (the colour that fills up an image), ``object_mask_thr``
        and ``iou_thr`` of panoptic results.
    """
    preprocessor = model.data_preprocessor
    mean = preprocessor.mean.flatten().tolist()
    tokens = model.panoptic_head.query_formation.task_mlp.tokens.int()
    head, test_cfg = model.panoptic_head, model.panoptic_fusion_head.test_cfg
    return dict(
        tasks=dict(zip(TASKS, tokens.tolist())),
        classes=list(metainfo['classes']),
        num_things=head.num_things_classes,
        shape=shape and list(shape),
        size_divisor=SIZE_DIVISOR,
        resize=_test_scale(cfg),
        padding=mean if preprocessor._channel_conversion else mean[::-1],
        object_mask_thr=test_cfg.get('object_mask_thr', 0.8),
        iou_thr=test_cfg.get('iou_thr', 0.8))


def _test_scale(cfg: Config) -> Optional[list]:
    """Longest and shortest edge of the test pipeline's ``Resize``, if any."""
    loader = cfg.get('test_dataloader') or {}
    for transform in loader.get('dataset', {}).get('pipeline', ()):
        if transform['type'] == 'Resize' and 'scale' in transform:
            return sorted(transform['scale'], reverse=True)
    return None
