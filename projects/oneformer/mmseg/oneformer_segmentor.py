"""`OneFormer` as a segmentor of MMSegmentation."""
from typing import List, Sequence, Union

import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.models.segmentors import EncoderDecoder
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from ..datasets import complete_categories, panoptic_metainfo
from ..models import OneFormer
from ..models.mask_resize import MaskResizer

#: Axes of (K, H, W) scores that a flip of the image turns round.
FLIPPED = dict(horizontal=(2, ), vertical=(1, ), diagonal=(1, 2))


@MODELS.register_module()
class OneFormerSegmentor(EncoderDecoder):
    """The semantic task of `OneFormer`, for testing in MMSegmentation.

    Tensor names are those of `OneFormer`, so that its checkpoints load as
    they are, and so is the preprocessing of images. Where `EncoderDecoder`
    speaks of logits stand the scores of the classes, see
    `OneFormerFusionHead.semantic_tiles`, in the order of the data set and at
    the size of the original image: taking their argmax, or averaging them
    over windows and flips, needs no softmax.

    ``test_cfg`` holds, besides what `OneFormer` reads, what `EncoderDecoder`
    does: ``mode`` ('whole' by default, or 'slide'), ``crop_size`` and
    ``stride``.

    Args:
        categories (str or list[dict]): The classes in the order of the data
            set, as `complete_categories` takes them.
        test_cfg (dict, optional): See above.
        **kwargs: Of `OneFormer`.

    Raises:
        ValueError: If a window is no multiple of the size divisor.
    """
    align_corners = False

    def __init__(self,
                 categories: Union[str, Sequence[dict]],
                 test_cfg: dict = None,
                 **kwargs) -> None:
        where = 'categories of OneFormerSegmentor'
        metainfo = panoptic_metainfo(
            complete_categories(categories, where), where)
        test_cfg = ConfigDict(test_cfg or {})
        test_cfg.setdefault('mode', 'whole')
        kwargs.update(
            test_cfg=test_cfg,
            num_things_classes=len(metainfo['thing_classes']),
            num_stuff_classes=len(metainfo['stuff_classes']))
        with DefaultScope.overwrite_default_scope('mmdet'):
            model = OneFormer(**kwargs)
        BaseSegmentor.__init__(self, model.data_preprocessor)
        self.backbone = model.backbone
        self.panoptic_head = model.panoptic_head
        self.panoptic_fusion_head = model.panoptic_fusion_head
        self.num_classes = self.out_channels = model.num_classes
        self.test_cfg = test_cfg
        self._labels = list(metainfo['class_order'])
        self._dataset_meta = {
            key: [metainfo[key][label] for label in self._labels]
            for key in ('classes', 'palette')
        }
        divisor = self.data_preprocessor.pad_size_divisor
        if test_cfg.mode == 'slide' and any(side % divisor
                                            for side in test_cfg.crop_size):
            raise ValueError(f'crop_size {test_cfg.crop_size} of test_cfg '
                             f'must be multiples of {divisor}')

    @property
    def dataset_meta(self) -> dict:
        """Names and colours of the classes, in the order of the scores."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, value: dict) -> None:
        """What `MMSegInferencer` finds in a checkpoint is not taken.

        There, classes stand in the order of `OneFormer`.
        """

    def extract_feat(self, inputs: Tensor) -> List[Tensor]:
        """Backbone features of normalised images (B, 3, H, W)."""
        return self.backbone(inputs)

    def _scores(self, inputs: Tensor,
                batch_img_metas: Sequence[dict]) -> List[Tensor]:
        """Scores (K, H, W) of each image, at its original size.

        Args:
            inputs (Tensor): Normalised images, shape (B, 3, H, W).
            batch_img_metas (list[dict]): With ``img_shape``, the part of the
                input that is the image, and ``ori_shape``.
        """
        mask_cls, mask_logits = self.panoptic_head.predict(
            self.extract_feat(inputs), [['semantic']] * len(inputs))
        return [
            self._image_scores(
                mask_cls[i, 0], mask_logits[i, 0],
                MaskResizer(mask_logits.shape[-2:], inputs.shape[-2:],
                            meta['img_shape'][:2], meta['ori_shape'][:2]))
            for i, meta in enumerate(batch_img_metas)
        ]

    def _image_scores(self, mask_cls: Tensor, mask_logits: Tensor,
                      resizer: MaskResizer) -> Tensor:
        """Scores (K, H, W); see `OneFormerFusionHead.semantic_tiles`."""
        scores = mask_cls.new_empty((self.num_classes, *resizer.output_size),
                                    dtype=torch.float32)
        with torch.autocast(mask_cls.device.type, enabled=False):
            tiles = self.panoptic_fusion_head.semantic_tiles(
                mask_cls.float(), mask_logits, resizer)
            for rows, columns, tile in tiles:
                scores[:, rows, columns] = tile[self._labels]
        return scores

    def encode_decode(self, inputs: Tensor,
                      batch_img_metas: List[dict]) -> Tensor:
        """Scores (B, K, H, W) of images or windows, at their size."""
        size = inputs.shape[-2:]
        meta = dict(img_shape=size, ori_shape=size)
        return torch.stack(self._scores(inputs, [meta] * len(inputs)))

    def whole_inference(self, inputs: Tensor,
                        batch_img_metas: List[dict]) -> List[Tensor]:
        """See `_scores`; the scores are those that `OneFormer` has."""
        return self._scores(inputs, batch_img_metas)

    def slide_inference(self, inputs: Tensor,
                        batch_img_metas: List[dict]) -> List[Tensor]:
        """Mean scores of windows, resized to the original size."""
        metas = [dict(meta) for meta in batch_img_metas]
        scores = super().slide_inference(inputs, batch_img_metas)
        results = []
        for image_scores, meta in zip(scores, metas):
            height, width = meta['img_shape'][:2]
            results.append(
                F.interpolate(
                    image_scores[None, :, :height, :width],
                    meta['ori_shape'][:2],
                    mode='bilinear')[0])
        return results

    def postprocess_result(
            self,
            seg_logits: List[Tensor],
            data_samples: Sequence[SegDataSample] = None
    ) -> List[SegDataSample]:
        """Set ``seg_logits``, the scores, and ``pred_sem_seg``.

        Args:
            seg_logits (list[Tensor]): Scores (K, H, W) of each image.
            data_samples (list[SegDataSample], optional): Of the images; may
                say that these were flipped.
        """
        data_samples = data_samples or [SegDataSample() for _ in seg_logits]
        for sample, scores in zip(data_samples, seg_logits):
            if sample.get('flip'):
                scores = scores.flip(FLIPPED[sample.flip_direction])
            sample.seg_logits = PixelData(data=scores)
            sample.pred_sem_seg = PixelData(
                data=scores.argmax(dim=0, keepdim=True))
        return data_samples

    def _forward(self,
                 inputs: Tensor,
                 data_samples: Sequence[SegDataSample] = None) -> Tensor:
        """Scores at the size of the input; see `encode_decode`."""
        return self.encode_decode(inputs, [])

    def loss(self, inputs: Tensor,
             data_samples: Sequence[SegDataSample]) -> dict:
        """Training needs panoptic annotations and is done elsewhere."""
        raise NotImplementedError(
            'OneFormerSegmentor is for testing: train with tools/train.py '
            'and a config of OneFormer')
