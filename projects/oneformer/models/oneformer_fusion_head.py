"""Panoptic, instance and semantic results from queries and their masks."""
from typing import Dict, Tuple, Union

import torch
from mmdet.models.seg_heads.panoptic_fusion_heads import MaskFormerFusionHead
from mmdet.registry import MODELS
from mmdet.structures import INSTANCE_OFFSET
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from ..tasks import check_task
from .mask_resize import MaskResizer

Result = Union[PixelData, InstanceData]


def _extent(occupied: Tensor) -> Tuple[Tensor, Tensor]:
    """First true index and the index behind the last one, of (k, L) rows."""
    occupied = occupied.int()
    start = occupied.argmax(dim=1)
    end = occupied.shape[1] - occupied.flip(1).argmax(dim=1)
    return start, torch.where(occupied.any(dim=1), end, start)


@MODELS.register_module()
class OneFormerFusionHead(MaskFormerFusionHead):
    """Post-processing of all three tasks (paper, section 4).

    Matches ``panoptic_inference``, ``instance_inference`` and
    ``semantic_inference`` of the official model, on tiles of the output:
    masks are resized where and when they are read, those of the surviving
    queries alone for panoptic and instance results, and semantic scores are
    summed and turned into labels tile by tile.

    ``test_cfg`` holds:

    - ``object_mask_thr``: lowest class score of a panoptic segment (0.8);
    - ``iou_thr``: smallest share of its mask that a panoptic segment must
      keep when overlaps are settled (0.8);
    - ``max_per_image``: (query, class) pairs kept for instances, before
      stuff is dropped (100).
    """

    def panoptic_postprocess(self, mask_cls: Tensor, mask_logits: Tensor,
                             resizer: MaskResizer) -> PixelData:
        """Panoptic result of one image.

        Args:
            mask_cls (Tensor): Class logits, shape (Q, K + 1).
            mask_logits (Tensor): Mask logits, shape (Q, h, w).
            resizer (MaskResizer): Resizes them to the output size (H, W).

        Returns:
            PixelData: ``sem_seg`` of shape (1, H, W), int32: ``label +
            instance_id * INSTANCE_OFFSET`` for things, ids from 1; the label
            for stuff; ``num_classes`` for void.
        """
        scores, labels = mask_cls.softmax(dim=-1).max(dim=-1)
        keep = labels.ne(self.num_classes) & (
            scores > self.test_cfg.get('object_mask_thr', 0.8))
        scores, labels = scores[keep], labels[keep]
        # the segment that each pixel shows: its index, the last one for void
        shown = torch.full(
            resizer.output_size, len(labels), device=labels.device)
        owned, covered, visible = labels.new_zeros((3, len(labels) + 1))
        if len(labels) > 0:
            for rows, columns, logits in resizer.tiles(mask_logits[keep]):
                probs = logits.sigmoid_()
                covered[:-1] += (probs >= 0.5).sum(dim=(1, 2))
                best = (probs * scores[:, None, None]).argmax(dim=0)
                inside = probs.gather(0, best[None])[0] >= 0.5
                owned += best.flatten().bincount(minlength=len(owned))
                best.masked_fill_(~inside, len(labels))
                visible += best.flatten().bincount(minlength=len(owned))
                shown[rows, columns] = best
        kept = (visible[:-1] > 0) & (
            owned[:-1] / covered[:-1] >= self.test_cfg.get('iou_thr', 0.8))
        things = kept & (labels < self.num_things_classes)
        ids = labels + things.cumsum(0) * INSTANCE_OFFSET * things
        ids = torch.cat([
            ids.where(kept, ids.new_tensor(self.num_classes)),
            ids.new_tensor([self.num_classes])
        ]).int()
        return PixelData(sem_seg=ids[shown][None])

    def instance_postprocess(self, mask_cls: Tensor, mask_logits: Tensor,
                             resizer: MaskResizer) -> InstanceData:
        """Instance result of one image.

        Args:
            mask_cls, mask_logits, resizer: See `panoptic_postprocess`.

        Returns:
            InstanceData: ``labels`` and ``scores`` of shape (k, ), bool
            ``masks`` (k, H, W) and ``bboxes`` (k, 4) as x1, y1, x2, y2 in
            pixels.
        """
        scores = mask_cls.softmax(dim=-1)[:, :-1]
        kept = min(self.test_cfg.get('max_per_image', 100), scores.numel())
        scores, index = scores.flatten().topk(kept, sorted=False)
        labels = index % self.num_classes
        things = labels < self.num_things_classes
        scores, labels = scores[things], labels[things]
        # a query stands for several instances when several classes score
        queries, place = (index[things] //
                          self.num_classes).unique(return_inverse=True)
        masks = torch.zeros((len(queries), *resizer.output_size),
                            dtype=torch.bool,
                            device=labels.device)
        inner, area = mask_logits.new_zeros((2, len(queries)),
                                            dtype=torch.float32)
        if len(queries) > 0:
            for rows, columns, logits in resizer.tiles(mask_logits[queries]):
                mask = logits > 0
                masks[:, rows, columns] = mask
                area += mask.sum(dim=(1, 2))
                inner += (logits.sigmoid() * mask).sum(dim=(1, 2))
        left, right = _extent(masks.any(dim=1))
        top, bottom = _extent(masks.any(dim=2))
        boxes = torch.stack([left, top, right, bottom], dim=1).float()
        return InstanceData(
            bboxes=boxes[place],
            labels=labels,
            scores=scores * (inner / (area + 1e-6))[place],
            masks=masks[place])

    def semantic_postprocess(self, mask_cls: Tensor, mask_logits: Tensor,
                             resizer: MaskResizer) -> PixelData:
        """Semantic result of one image.

        Args:
            mask_cls, mask_logits, resizer: See `panoptic_postprocess`.

        Returns:
            PixelData: ``sem_seg`` of shape (1, H, W), the label of the class
            with the highest score.
        """
        weights = mask_cls.softmax(dim=-1)[:, :-1].t()
        labels = torch.empty(
            resizer.output_size, dtype=torch.long, device=mask_cls.device)
        for rows, columns, logits in resizer.tiles(mask_logits):
            scores = weights.to(logits) @ logits.sigmoid_().flatten(1)
            labels[rows, columns] = scores.argmax(dim=0).view(logits.shape[1:])
        return PixelData(sem_seg=labels[None])

    @torch.no_grad()
    def predict(self,
                mask_cls: Dict[str, Tensor],
                mask_logits: Dict[str, Tensor],
                metainfo: dict,
                rescale: bool = True) -> Dict[str, Result]:
        """Results of one image, each task from its queries, in float32.

        Args:
            mask_cls (dict[str, Tensor]): Class logits (Q, K + 1) by task.
            mask_logits (dict[str, Tensor]): Mask logits (Q, h, w) by task.
            metainfo (dict): Of the data sample: ``batch_input_shape``,
                ``img_shape`` and ``ori_shape``.
            rescale (bool): Whether results have the size of the original
                image or that of the resized one.

        Returns:
            dict[str, PixelData or InstanceData]: Results by task.
        """
        image_size = metainfo['img_shape'][:2]
        resizer = MaskResizer(
            next(iter(mask_logits.values())).shape[-2:],
            metainfo['batch_input_shape'], image_size,
            metainfo['ori_shape'][:2] if rescale else image_size)
        results = {}
        for task, logits in mask_logits.items():
            postprocess = getattr(self, f'{check_task(task)}_postprocess')
            with torch.autocast(logits.device.type, enabled=False):
                results[task] = postprocess(mask_cls[task].float(), logits,
                                            resizer)
        return results
