"""Masks as run-length codes: what large pictures leave no room for."""
from typing import List, Sequence, Union

import cv2
import numpy as np
import pycocotools.mask as mask_util
import torch


class EncodedMask(dict):
    """An RLE of ``pycocotools`` (``size``, ``counts``) of one mask.

    Where it is indexed as an array it is decoded, as ``DetInferencer`` does
    with the masks of an answer. ``pycocotools.mask.iou`` takes nothing but
    a plain ``dict``: give it ``dict(mask)``.
    """

    def __getitem__(self, key):
        if isinstance(key, str):
            return super().__getitem__(key)
        return mask_util.decode(self).view(bool)[key]


class DecodedMasks(Sequence):
    """RLEs as masks, each decoded when it is looked at.

    Args:
        masks: RLEs of ``pycocotools``.
    """

    def __init__(self, masks: Sequence[dict]) -> None:
        self.masks = masks

    def __len__(self) -> int:
        return len(self.masks)

    def __getitem__(self, index: int) -> np.ndarray:
        """Mask number ``index``, bool (H, W)."""
        return mask_util.decode(self.masks[index]).view(bool)


def encode_masks(masks: Union[torch.Tensor, np.ndarray]) -> List[EncodedMask]:
    """Encode binary masks (k, H, W) as k RLEs."""
    masks = torch.as_tensor(masks).bool().cpu().numpy().view(np.uint8)
    number, height, width = masks.shape
    if number == 0:
        return []
    # (H, W, k) in column order is (k, W, H) in rows; OpenCV transposes by
    # blocks, several times as fast as NumPy and PyTorch.
    columns = np.empty((number, width, height), np.uint8)
    for mask, transposed in zip(masks, columns):
        cv2.transpose(mask, transposed)
    return [EncodedMask(rle) for rle in mask_util.encode(columns.T)]
