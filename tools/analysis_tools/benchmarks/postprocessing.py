"""Case of post-processing: 250 queries, 133 classes, 1024 x 2048 pixels."""
from pathlib import Path
from typing import Any, Callable, Tuple

import numpy as np
import torch
import torch.nn.functional as F
from mmdet.models.seg_heads import MaskFormerFusionHead
from torch import Tensor

from projects.oneformer.models import OneFormerFusionHead

from .measure import BenchmarkError, Case, Contender, Workload
from .models import NUM_STUFF, NUM_THINGS, test_sample

QUERIES, SIZE = 250, (1024, 2048)
#: Queries with a class of their own, the others have none.
CONFIDENT = 60
SETTINGS = dict(
    panoptic_on=True,
    semantic_on=False,
    instance_on=True,
    object_mask_thr=0.8,
    iou_thr=0.8,
    max_per_image=100,
    filter_low_score=True)


def logits(device: str) -> Tuple[Tensor, Tensor]:
    """Class logits (Q, K + 1) and mask logits (Q, h, w) of an image.

    Masks are discs with soft borders, as many as a busy street has.
    """
    generator = torch.Generator().manual_seed(0)
    classes = NUM_THINGS + NUM_STUFF
    scores = torch.randn((QUERIES, classes + 1), generator=generator)
    scores[CONFIDENT:, -1] += 12
    labels = torch.randint(classes, (CONFIDENT, ), generator=generator)
    scores[torch.arange(CONFIDENT), labels] += 12
    height, width = (side // 4 for side in SIZE)
    y = torch.arange(height)[None, :, None] / height
    x = torch.arange(width)[None, None] / width
    centre = torch.rand((2, QUERIES, 1, 1), generator=generator)
    radius = 0.05 + 0.2 * torch.rand((QUERIES, 1, 1), generator=generator)
    distance = ((y - centre[0])**2 + (x - centre[1])**2).sqrt()
    return scores.to(device), (40 * (radius - distance)).to(device)


def ours(workload: Workload, folder: Path) -> Callable[[], Any]:
    """Panoptic, instance and semantic results."""
    head = OneFormerFusionHead(
        num_things_classes=NUM_THINGS,
        num_stuff_classes=NUM_STUFF,
        test_cfg=SETTINGS)
    scores, masks = logits(workload.device)
    meta = dict(batch_input_shape=SIZE, img_shape=SIZE, ori_shape=SIZE)
    tasks = ('panoptic', 'instance', 'semantic')

    def run():
        results = head.predict(
            dict.fromkeys(tasks, scores), dict.fromkeys(tasks, masks), meta)
        return summary(results['panoptic'].sem_seg, results['instance'])

    return run


def theirs(workload: Workload, folder: Path) -> Callable[[], Any]:
    """Panoptic and instance results, after the resize in ``predict``."""
    head = MaskFormerFusionHead(
        num_things_classes=NUM_THINGS,
        num_stuff_classes=NUM_STUFF,
        test_cfg=SETTINGS)
    scores, masks = logits(workload.device)
    sample = test_sample(Workload(image_size=SIZE, device=workload.device))

    @torch.no_grad()
    def run():
        # as Mask2FormerHead.predict does
        resized = F.interpolate(
            masks[None], SIZE, mode='bilinear', align_corners=False)
        result, = head.predict(scores[None], resized, [sample])
        return summary(result['pan_results'].sem_seg, result['ins_results'])

    return run


def summary(panoptic: Tensor, instances) -> dict:
    """What of the results is compared."""
    return dict(
        panoptic=panoptic[0],
        scores=instances.scores.sort(descending=True)[0],
        area=sum(int(mask.count_nonzero()) for mask in instances.masks))


def same(mine: dict, other: dict) -> str:
    """Labels of the panoptic map, and scores and area of the instances."""
    labels = float(
        (mine['panoptic'] % 1000 == other['panoptic'] % 1000).mean())
    scores = float(np.abs(mine['scores'] - other['scores']).max())
    area = float(abs(mine['area'] / other['area'] - 1))
    if labels < 0.9999 or scores > 1e-4 or area > 1e-4:
        raise BenchmarkError(f'{labels:.2%} of panoptic labels agree, scores '
                             f'differ by {scores:.0e}, areas by {area:.0e}')
    return (f'{labels:.3%} of panoptic labels agree, instance scores within '
            f'{scores:.0e}')


CASES = (Case(
    'post-processing',
    '250 queries, 133 classes, 1024 x 2048; ours with the semantic map',
    Contender('ours, 3 tasks', ours),
    Contender('MMDetection, 2 tasks', theirs),
    4.,
    same,
    largest_memory=1 / 3), )
