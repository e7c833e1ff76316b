"""Panoptic, instance and semantic results from queries and their masks."""
from typing import Dict, Iterator, List, Tuple, Union

import torch
from mmdet.models.seg_heads.panoptic_fusion_heads import MaskFormerFusionHead
from mmdet.registry import MODELS
from mmdet.structures import INSTANCE_OFFSET
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from ..encoded_masks import EncodedMask, encode_masks
from ..tasks import check_task
from .mask_resize import TILE_VALUES, MaskResizer, Tile

Result = Union[PixelData, InstanceData]

#: Pixels times instances up to which masks are a tensor (256 MiB).
MAX_MASK_VALUES = 1 << 28
#: Pixels times classes up to which semantic scores are kept (2 GiB).
MAX_SCORE_VALUES = 1 << 29
#: What the queries left out of a tile may add to a semantic score together:
#: the less, the more queries are resized and the fewer pixels looked at again.
FAINT_SCORE = 1e-4
#: Classes that can reach less than this in a tile are left out there, and
#: pixels looked at again where no other class reaches more.
FAINT_CLASS = 0.01


def _extent(occupied: Tensor) -> Tuple[Tensor, Tensor]:
    """First true index and the index behind the last one, of (k, L) rows."""
    occupied = occupied.int()
    start = occupied.argmax(dim=1)
    end = occupied.shape[1] - occupied.flip(1).argmax(dim=1)
    return start, torch.where(occupied.any(dim=1), end, start)


def _contenders(scores: Tensor, mask_logits: Tensor, resizer: MaskResizer,
                tile: Tile) -> Tuple[Tensor, Tensor]:
    """The masks that count in a tile: above one half, or the strongest.

    Masks that may be above one half come first. The others are left out
    unless one of them can be the strongest at some pixel.

    Args:
        scores (Tensor): Class scores of k masks, shape (k, ).
        mask_logits, resizer, tile: Of these masks.

    Returns:
        tuple[Tensor]: Their indices (n, ) and their probabilities
        (n, rows, columns).
    """
    covering = ~(tile.highest < 0)
    index = covering.nonzero()[:, 0]
    probs = resizer.tile(mask_logits, tile.rows, tile.columns,
                         index).sigmoid_()
    others = (~covering).nonzero()[:, 0]
    if len(index) > 0 and len(others) > 0:
        strongest = (probs * scores[index, None, None]).amax(dim=0)
        ceiling = scores[others] * tile.highest[others].sigmoid()
        others = others[~(ceiling < strongest.amin())]
    if len(others) > 0:
        faint = resizer.tile(mask_logits, tile.rows, tile.columns, others)
        probs = torch.cat([probs, faint.sigmoid_()])
        index = torch.cat([index, others])
    return index, probs


def _best_class(weights: Tensor, mask_logits: Tensor, resizer: MaskResizer,
                tile: Tile) -> Tensor:
    """The class with the highest score at each pixel of a tile.

    The scores are those of `OneFormerFusionHead.semantic_tiles`. Queries
    that add next to nothing here are left out, and so are classes that
    cannot win; pixels where what is left out might decide are then looked at
    with all of it.

    Args:
        weights (Tensor): Class probabilities (K, Q).
        mask_logits (Tensor): Shape (Q, h, w).
        resizer (MaskResizer): Resizes them.
        tile (Tile): With the bounds of their logits.

    Returns:
        Tensor: Labels, integers of the shape of the tile.
    """
    reach = tile.highest.sigmoid()
    ceiling = weights @ reach
    floor = (weights @ tile.lowest.sigmoid()).max()
    rivals = ~(ceiling < floor)
    if rivals.sum() == 1:
        return rivals.nonzero()[0].expand(tile.shape)
    rivals &= ~(ceiling < FAINT_CLASS)
    rivals[ceiling.topk(2).indices] = True
    classes = rivals.nonzero()[:, 0]
    least, order = (weights.amax(dim=0) * reach).sort()
    faint = least.cumsum(dim=0) <= FAINT_SCORE
    strong, doubt = order[~faint], least[faint].sum()
    logits = resizer.tile(mask_logits, tile.rows, tile.columns, strong)
    scores = weights[classes][:, strong] @ logits.sigmoid_().flatten(1)
    # for each pixel, max and topk with indices take ten times as long
    best = scores.amax(dim=0)
    labels = (scores.eq(best) * classes.int()[:, None]).amax(dim=0)
    close = ~(scores < best - doubt)
    unsure = ~(best - FAINT_CLASS > doubt) | (
        close.sum(dim=0, dtype=torch.int32) != 1)
    unsure = unsure.nonzero()[:, 0]
    if len(unsure) > 0:
        probs = resizer.pixels(mask_logits, tile, unsure).sigmoid_()
        labels[unsure] = (weights @ probs).max(dim=0).indices.int()
    return labels.view(tile.shape)


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
      stuff is dropped (100);
    - ``max_mask_values``: instance masks with more values than this (pixels
      times instances) are RLEs in place of a tensor (`MAX_MASK_VALUES`);
    - ``semantic_scores``: whether semantic results hold the score of every
      class (False); ``semantic_scores`` in the metainfo of a data sample
      decides for that sample;
    - ``max_score_values``: the most such scores, pixels times classes, that
      are given (`MAX_SCORE_VALUES`).
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
            for stuff; ``num_classes`` for void. And ``segments_info``, a
            list of ``dict(id, label, score)``: the value in the map, the
            class and its probability.
        """
        scores, labels = mask_cls.softmax(dim=-1).max(dim=-1)
        keep = labels.ne(self.num_classes) & (
            scores > self.test_cfg.get('object_mask_thr', 0.8))
        scores, labels = scores[keep], labels[keep]
        shown, owned, covered, visible = self._overlap(scores,
                                                       mask_logits[keep],
                                                       resizer)
        kept = (visible > 0) & (
            owned / covered >= self.test_cfg.get('iou_thr', 0.8))
        things = kept & (labels < self.num_things_classes)
        ids = labels + things.cumsum(0) * INSTANCE_OFFSET * things
        ids = torch.cat([
            ids.where(kept, ids.new_tensor(self.num_classes)),
            ids.new_tensor([self.num_classes])
        ]).int()
        # in place and in strips: an index takes 8 bytes a pixel
        for rows in shown.split(max(TILE_VALUES // shown.shape[1], 1)):
            rows.copy_(ids[rows.long()])
        segments = {}
        for id_, score in zip(ids[:-1][kept].tolist(), scores[kept].tolist()):
            segments[id_] = max(score, segments.get(id_, 0.))
        return PixelData(
            sem_seg=shown[None],
            metainfo=dict(segments_info=[
                dict(id=id_, label=id_ % INSTANCE_OFFSET, score=score)
                for id_, score in segments.items()
            ]))

    def _overlap(self, scores: Tensor, mask_logits: Tensor,
                 resizer: MaskResizer) -> Tuple[Tensor, ...]:
        """Let k masks compete for the pixels.

        Returns:
            tuple[Tensor]: The mask that each pixel shows, int32 (H, W), k
            where none is above one half; and for each mask, of shape (k, ),
            the pixels where it is the strongest, where it is above one half,
            and where it is both.
        """
        number = len(scores)
        shown = torch.full(
            resizer.output_size,
            number,
            dtype=torch.int32,
            device=scores.device)
        owned, covered, visible = torch.zeros((3, number + 1),
                                              dtype=torch.long,
                                              device=scores.device)
        for tile in resizer.bounded_tiles(mask_logits):
            index, probs = _contenders(scores, mask_logits, resizer, tile)
            above = probs >= 0.5
            covered[index] += above.flatten(1).count_nonzero(dim=1)
            best = (probs * scores[index, None, None]).max(dim=0).indices
            inside = probs.gather(0, best[None])[0] >= 0.5
            best = index[best]
            owned += best.flatten().bincount(minlength=number + 1)
            best.masked_fill_(~inside, number)
            visible += best.flatten().bincount(minlength=number + 1)
            shown[tile.rows, tile.columns] = best
        return shown, owned[:-1], covered[:-1], visible[:-1]

    def instance_postprocess(self, mask_cls: Tensor, mask_logits: Tensor,
                             resizer: MaskResizer) -> InstanceData:
        """Instance result of one image.

        Args:
            mask_cls, mask_logits, resizer: See `panoptic_postprocess`.

        Returns:
            InstanceData: ``labels`` and ``scores`` of shape (k, ),
            ``bboxes`` (k, 4) as x1, y1, x2, y2 in pixels and ``masks``, bool
            (k, H, W), or a list of k `EncodedMask` where these would have
            more than ``max_mask_values`` values.
        """
        scores = mask_cls.softmax(dim=-1)[:, :-1]
        kept = min(self.test_cfg.get('max_per_image', 100), scores.numel())
        # in the order of the queries
        index = scores.flatten().topk(kept).indices.sort().values
        index = index[index % self.num_classes < self.num_things_classes]
        scores, labels = scores.flatten()[index], index % self.num_classes
        # a query stands for several instances when several classes score
        queries, place = torch.unique_consecutive(
            index // self.num_classes, return_inverse=True)
        size = resizer.output_size[0] * resizer.output_size[1]
        limit = self.test_cfg.get('max_mask_values', MAX_MASK_VALUES)
        if len(labels) * size <= limit:
            masks, boxes, quality = self._full_masks(mask_logits[queries],
                                                     resizer)
            if len(queries) < len(place):  # each copy counts
                masks = masks[place]
        else:
            encoded, boxes, quality = self._encoded_masks(
                mask_logits[queries], resizer, max(limit // (8 * size), 1))
            masks = [encoded[i] for i in place.tolist()]
        return InstanceData(
            bboxes=boxes[place],
            labels=labels,
            scores=scores * quality[place],
            masks=masks)

    def _full_masks(self, mask_logits: Tensor,
                    resizer: MaskResizer) -> Tuple[Tensor, Tensor, Tensor]:
        """Masks of k queries at full size.

        Returns:
            tuple[Tensor]: Masks, bool (k, H, W); boxes, float (k, 4); and
            the mean probability inside each mask, (k, ).
        """
        masks = torch.zeros((len(mask_logits), *resizer.output_size),
                            dtype=torch.bool,
                            device=mask_logits.device)
        inner, area = mask_logits.new_zeros((2, len(mask_logits)),
                                            dtype=torch.float32)
        for tile in resizer.bounded_tiles(mask_logits):
            index = (~(tile.highest <= 0)).nonzero()[:, 0]
            logits = resizer.tile(mask_logits, tile.rows, tile.columns, index)
            mask = logits > 0
            masks[index, tile.rows, tile.columns] = mask
            area[index] += mask.flatten(1).count_nonzero(dim=1)
            inner[index] += (logits.sigmoid_() * mask).sum(dim=(1, 2))
        left, right = _extent(masks.any(dim=1))
        top, bottom = _extent(masks.any(dim=2))
        boxes = torch.stack([left, top, right, bottom], dim=1).float()
        return masks, boxes, inner / (area + 1e-6)

    def _encoded_masks(
            self, mask_logits: Tensor, resizer: MaskResizer,
            at_once: int) -> Tuple[List[EncodedMask], Tensor, Tensor]:
        """As `_full_masks`, with masks as RLEs, ``at_once`` at a time."""
        encoded, boxes, quality = [], [], []
        for some in mask_logits.split(at_once):
            masks, *numbers = self._full_masks(some, resizer)
            encoded += encode_masks(masks)
            boxes.append(numbers[0])
            quality.append(numbers[1])
        return encoded, torch.cat(boxes), torch.cat(quality)

    def semantic_tiles(
            self, mask_cls: Tensor, mask_logits: Tensor,
            resizer: MaskResizer) -> Iterator[Tuple[slice, slice, Tensor]]:
        """Scores of the classes, one tile of the output at a time.

        A score is the sum over the queries of the probability of the class
        times that of the mask, at least 0 and not bounded by 1.

        Args:
            mask_cls, mask_logits, resizer: See `panoptic_postprocess`.

        Yields:
            tuple: Rows, columns and scores (K, rows, columns), float32.
        """
        weights = mask_cls.softmax(dim=-1)[:, :-1].t()
        for rows, columns, logits in resizer.tiles(mask_logits):
            scores = weights.to(logits) @ logits.sigmoid_().flatten(1)
            yield rows, columns, scores.view(-1, *logits.shape[1:])

    def semantic_postprocess(self,
                             mask_cls: Tensor,
                             mask_logits: Tensor,
                             resizer: MaskResizer,
                             with_scores: bool = False) -> PixelData:
        """Semantic result of one image.

        Args:
            mask_cls, mask_logits, resizer: See `panoptic_postprocess`.
            with_scores (bool): Whether to keep the scores of all classes.

        Returns:
            PixelData: ``sem_seg`` of shape (1, H, W), int32, the label of the
            class with the highest score; and ``scores``, float32 (K, H, W),
            where asked, see `semantic_tiles`.

        Raises:
            ValueError: If there are more scores than ``max_score_values``.
        """
        size = resizer.output_size
        labels = torch.empty(size, dtype=torch.int32, device=mask_cls.device)
        if with_scores:
            self._check_scores(size)
            all_scores = mask_cls.new_empty((self.num_classes, *size))
            for rows, columns, scores in self.semantic_tiles(
                    mask_cls, mask_logits, resizer):
                labels[rows, columns] = scores.max(dim=0).indices
                all_scores[:, rows, columns] = scores
            return PixelData(sem_seg=labels[None], scores=all_scores)
        weights = mask_cls.softmax(dim=-1)[:, :-1].t().contiguous()
        for tile in resizer.bounded_tiles(mask_logits):
            labels[tile.rows,
                   tile.columns] = _best_class(weights, mask_logits, resizer,
                                               tile)
        return PixelData(sem_seg=labels[None])

    def _check_scores(self, size: Tuple[int, int]) -> None:
        """Refuse to keep more scores than memory is meant for."""
        limit = self.test_cfg.get('max_score_values', MAX_SCORE_VALUES)
        number = self.num_classes * size[0] * size[1]
        if number > limit:
            raise ValueError(
                f'the semantic scores of {self.num_classes} classes on '
                f'{size[1]} x {size[0]} pixels are {number} values, more than '
                f'the {limit} of test_cfg.max_score_values: ask for the class '
                'map alone, give a smaller image or raise the limit')

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
                ``img_shape`` and ``ori_shape``; perhaps
                ``semantic_scores``.
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
        with_scores = metainfo.get('semantic_scores')
        if with_scores is None:
            with_scores = self.test_cfg.get('semantic_scores', False)
        options = dict(semantic=dict(with_scores=with_scores))
        results = {}
        for task, logits in mask_logits.items():
            postprocess = getattr(self, f'{check_task(task)}_postprocess')
            with torch.autocast(logits.device.type, enabled=False):
                results[task] = postprocess(mask_cls[task].float(), logits,
                                            resizer, **options.get(task, {}))
        return results
