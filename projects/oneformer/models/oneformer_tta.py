"""Semantic results from several views of an image."""
from typing import List, Optional, Sequence, Tuple

import torch
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmengine.model import BaseTTAModel
from mmengine.structures import PixelData
from torch import Tensor

from .mask_resize import MaskResizer

#: Axes of (K, H, W) scores that a flip of the image turns round.
FLIPPED_AXES = dict(horizontal=(2, ), vertical=(1, ), diagonal=(1, 2))


def flip_back(rows: slice, columns: slice, scores: Tensor, size: Sequence[int],
              direction: str) -> Tuple[slice, slice, Tensor]:
    """Move a tile of a flipped image to its place in the image itself.

    Args:
        rows (slice): Of the tile in the flipped image.
        columns (slice): Likewise.
        scores (Tensor): The tile, shape (K, rows, columns).
        size (tuple[int, int]): Height and width of the image.
        direction (str): Of the flip, a key of `FLIPPED_AXES`.

    Returns:
        tuple: Rows, columns and scores in the image itself.
    """
    axes = FLIPPED_AXES[direction]
    if 1 in axes:
        rows = slice(size[0] - rows.stop, size[0] - rows.start)
    if 2 in axes:
        columns = slice(size[1] - columns.stop, size[1] - columns.start)
    return rows, columns, scores.flip(axes)


@MODELS.register_module()
class OneFormerTTAModel(BaseTTAModel):
    """Averages the semantic scores of an image over its views.

    Views are what ``TestTimeAug`` makes of an image: resized and flipped
    ones. Matches ``SemanticSegmentorWithTTA`` of the official code: each view
    passes through the network alone, and what is averaged are the scores of
    the classes (`OneFormerFusionHead.semantic_tiles`) at the size of the
    original image, neither logits nor their softmax.

    An image takes one tensor of K x H x W scores, whatever the number of its
    views: these are decoded one after the other and added to it tile by tile.

    Args:
        module (OneFormer or dict): The model, or its config.
    """

    def merge_preds(self, data_samples_list: List[SampleList]) -> None:
        """Not used: the scores of all views at once would fill the memory."""
        raise NotImplementedError('OneFormerTTAModel adds up the scores of '
                                  'views as they come: call test_step')

    @torch.no_grad()
    def test_step(self, data: dict) -> SampleList:
        """Answer the semantic task for a batch of images.

        Args:
            data (dict): ``inputs`` and ``data_samples``, each a list that has
                for every view the list of those of the images.

        Returns:
            list[DetDataSample]: Those of the first view, with
            ``pred_sem_seg`` as `OneFormerFusionHead` makes it, at the
            original size.
        """
        data_samples = data['data_samples'][0]
        for sample, scores in zip(data_samples, self.mean_scores(data)):
            labels = scores.max(dim=0, keepdim=True).indices
            sample.pred_sem_seg = PixelData(sem_seg=labels.int())
        return data_samples

    def mean_scores(self, data: dict) -> List[Tensor]:
        """Mean scores over the views of each image, float32 (K, H, W).

        Args:
            data (dict): See `test_step`.
        """
        views = [dict(zip(data, view)) for view in zip(*data.values())]
        totals = None
        for view in views:
            totals = self._add_view(view, totals)
        return [total.div_(len(views)) for total in totals]

    def _add_view(self, view: dict,
                  totals: Optional[List[Tensor]]) -> List[Tensor]:
        """Add the scores of a view to those of the views before it.

        Args:
            view (dict): ``inputs`` and ``data_samples`` of a batch.
            totals (list[Tensor], optional): Sums of scores, (K, H, W) of each
                image; None before the first view.

        Returns:
            list[Tensor]: ``totals``, changed in place.
        """
        model = self.module
        batch = model.data_preprocessor(view, False)
        samples = batch['data_samples']
        token = model.test_cfg.get('task_token') or 'semantic'
        mask_cls, mask_logits = model.panoptic_head.predict(
            model.extract_feat(batch['inputs']), [[token]] * len(samples))
        if totals is None:
            totals = [
                mask_cls.new_zeros((model.num_classes, *sample.ori_shape[:2]),
                                   dtype=torch.float32) for sample in samples
            ]
        for i, (sample, total) in enumerate(zip(samples, totals)):
            self._add_scores(total, mask_cls[i, 0], mask_logits[i, 0],
                             sample.metainfo)
        return totals

    def _add_scores(self, total: Tensor, mask_cls: Tensor, mask_logits: Tensor,
                    metainfo: dict) -> None:
        """Add the scores of a view of one image, flipped back.

        Args:
            total (Tensor): Sum of scores, shape (K, H, W); changed.
            mask_cls (Tensor): Class logits, shape (Q, K + 1).
            mask_logits (Tensor): Mask logits, shape (Q, h, w).
            metainfo (dict): Of the view: ``batch_input_shape``,
                ``img_shape``, and ``flip_direction`` if it is flipped.
        """
        size = total.shape[1:]
        resizer = MaskResizer(mask_logits.shape[-2:],
                              metainfo['batch_input_shape'],
                              metainfo['img_shape'][:2], size)
        with torch.autocast(total.device.type, enabled=False):
            for tile in self.module.panoptic_fusion_head.semantic_tiles(
                    mask_cls.float(), mask_logits, resizer):
                if metainfo.get('flip'):
                    tile = flip_back(*tile, size, metainfo['flip_direction'])
                rows, columns, scores = tile
                total[:, rows, columns].add_(scores)
