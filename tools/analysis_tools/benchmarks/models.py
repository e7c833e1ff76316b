"""The models that are compared, with equal weights, and what they are fed."""
from pathlib import Path
from typing import List, Tuple

import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from torch import Tensor, nn

from projects.oneformer.checkpoints import (HUGGING_FACE, find_class_order,
                                            huggingface_config, to_mmdet)
from projects.oneformer.tasks import TASKS

from .measure import Workload

ROOT = Path(__file__).resolve().parents[3]
#: Class counts of COCO.
NUM_THINGS, NUM_STUFF = 80, 53
CLASSES = tuple(f'class {i}' for i in range(NUM_THINGS + NUM_STUFF))
#: What `prepare` and `prepare_alone` write.
THEIRS, OURS = 'theirs.pth', 'ours.pth'


def load_config(workload: Workload, without_dropout: bool = True) -> Config:
    """Config of our model.

    Args:
        workload: Its model and queries.
        without_dropout: Whether to leave out what is random, so that losses
            can be compared.
    """
    cfg = Config.fromfile(ROOT / 'configs/_base_/models' /
                          f'oneformer_{workload.model}.py')
    model = cfg.model
    model.update(num_things_classes=NUM_THINGS, num_stuff_classes=NUM_STUFF)
    model.backbone.init_cfg = None
    head = model.panoptic_head
    head.num_queries = workload.queries
    head.text_mapper.num_texts = (
        workload.queries - head.text_mapper.num_context)
    model.test_cfg.max_per_image = workload.queries
    if without_dropout:
        if 'drop_path_rate' in model.backbone:
            model.backbone.drop_path_rate = 0.
        _without_dropout(head)
    return cfg


def _without_dropout(config: ConfigDict) -> None:
    for key, value in config.items():
        if isinstance(value, dict):
            _without_dropout(value)
        elif key in ('attn_drop', 'drop_prob', 'dropout', 'ffn_drop'):
            config[key] = 0.


def prepare(workload: Workload, folder: Path) -> None:
    """Write equal weights for Hugging Face's model and ours."""
    from transformers import OneFormerForUniversalSegmentation
    torch.manual_seed(0)
    cfg = load_config(workload)
    model = OneFormerForUniversalSegmentation(
        their_config(cfg, is_training=True))
    _spread(model)
    state = model.state_dict()
    torch.save(state, folder / THEIRS)
    # The default order of classes, things first, is that of both here.
    ours, _ = to_mmdet(
        cfg, state, HUGGING_FACE, THEIRS, things=range(NUM_THINGS))
    torch.save(ours, folder / OURS)


def prepare_alone(workload: Workload, folder: Path) -> None:
    """Write random weights for our model."""
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(load_config(workload).model)
    model.init_weights()
    torch.save(model.state_dict(), folder / OURS)


def _spread(model: nn.Module) -> None:
    """Let queries and classes differ as those of a trained model do.

    With initial weights all classes score alike, and post-processing would
    have nothing to do.
    """
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if 'class_embed' in name and name.endswith('weight'):
                parameter.mul_(10)
            elif 'queries_embedder' in name:
                parameter.mul_(4)


def their_config(cfg: Config, is_training: bool):
    """Config of Hugging Face's model, without dropout."""
    from transformers import OneFormerConfig
    order = find_class_order(cfg, len(CLASSES), range(NUM_THINGS), CLASSES)
    config = huggingface_config(cfg, order, is_training)
    config['dropout'] = 0.
    config['backbone_config']['drop_path_rate'] = 0.
    return OneFormerConfig.from_dict(config)


def our_model(workload: Workload, folder: Path) -> nn.Module:
    """Ours, with the weights that were prepared."""
    init_default_scope('mmdet')
    model = MODELS.build(load_config(workload).model)
    return _load(model, folder / OURS, workload)


def their_model(workload: Workload,
                folder: Path,
                is_training: bool = False) -> nn.Module:
    """Hugging Face's, with the weights that `prepare` left.

    For inference it has no text mapper: with one it asks for texts.
    """
    from transformers import OneFormerForUniversalSegmentation
    model = OneFormerForUniversalSegmentation(
        their_config(load_config(workload), is_training))
    return _load(model, folder / THEIRS, workload)


def mask2former(workload: Workload) -> nn.Module:
    """MMDetection's Mask2Former with the same backbone and queries.

    All its parts are MMDetection's.
    """
    init_default_scope('mmdet')
    cfg = load_config(workload).model
    cfg.type = 'Mask2Former'
    if cfg.backbone.type == 'OneFormerSwinTransformer':
        cfg.backbone.type = 'SwinTransformer'
    classes = [cfg.pop('num_things_classes'), cfg.pop('num_stuff_classes')]
    head = cfg.panoptic_head
    for name in ('query_formation', 'text_mapper', 'loss_contrastive'):
        head.pop(name)
    head.update(
        type='Mask2FormerHead',
        num_things_classes=classes[0],
        num_stuff_classes=classes[1])
    head.pixel_decoder.type = 'MSDeformAttnPixelDecoder'
    head.loss_cls.class_weight = [1.] * sum(classes) + [0.1]
    cfg.panoptic_fusion_head = dict(
        type='MaskFormerFusionHead',
        num_things_classes=classes[0],
        num_stuff_classes=classes[1])
    cfg.train_cfg.sampler = dict(type='MaskPseudoSampler')
    cfg.train_cfg.assigner.type = 'HungarianAssigner'
    cfg.train_cfg.assigner.match_costs[1].type = 'CrossEntropyLossCost'
    torch.manual_seed(0)
    model = MODELS.build(cfg)
    model.init_weights()
    return model.to(workload.device)


def _load(model: nn.Module, path: Path, workload: Workload) -> nn.Module:
    """Load those weights of a file that the model has, in evaluation mode."""
    state = torch.load(path, mmap=True)
    model.load_state_dict({name: state[name] for name in model.state_dict()})
    return model.to(workload.device).eval()


def images(workload: Workload, number: int) -> Tensor:
    """Normalised images (number, 3, H, W)."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn((number, 3, *workload.image_size),
                       generator=generator).to(workload.device)


def test_sample(workload: Workload, **metainfo) -> DetDataSample:
    """What the test pipeline would say of an image."""
    size = workload.image_size
    return DetDataSample(
        metainfo=dict(
            img_shape=size, ori_shape=size, batch_input_shape=size, **
            metainfo))


def train_samples(workload: Workload) -> List[DetDataSample]:
    """Data samples with rectangles for masks, the tasks in turn."""
    samples = []
    for index in range(workload.batch):
        labels, masks = targets(workload, index)
        sample = test_sample(
            workload,
            task=TASKS[index % len(TASKS)],
            texts=[f'a photo with a {CLASSES[label]}' for label in labels])
        sample.gt_instances = InstanceData(
            labels=torch.from_numpy(labels).to(workload.device),
            masks=BitmapMasks(masks, *workload.image_size))
        samples.append(sample)
    return samples


def targets(workload: Workload, index: int) -> Tuple[np.ndarray, np.ndarray]:
    """Labels (M, ) and masks (M, H, W) of an image."""
    rng = np.random.default_rng(index)
    number = workload.objects
    labels = np.sort(rng.integers(0, len(CLASSES), number))
    masks = np.zeros((number, *workload.image_size), np.uint8)
    for mask in masks:
        high, wide = (
            int(rng.integers(side // 8, side // 2))
            for side in workload.image_size)
        top, left = (int(rng.integers(0, side - part))
                     for side, part in zip(workload.image_size, (high, wide)))
        mask[top:top + high, left:left + wide] = 1
    return labels, masks
