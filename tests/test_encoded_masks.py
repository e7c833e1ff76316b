"""Masks as run-length codes, and what reads them."""
import json
import pickle

import numpy as np
import pycocotools.mask as mask_util
import pytest
import torch
from mmdet.structures.mask import encode_mask_results
from mmengine.structures import InstanceData

from projects.oneformer.encoded_masks import (DecodedMasks, EncodedMask,
                                              encode_masks)


@pytest.fixture
def masks():
    masks = np.random.default_rng(0).random((4, 30, 41)) < 0.3
    masks[1] = False
    masks[2] = True
    return masks


@pytest.mark.parametrize('kind', [torch.tensor, np.array, np.uint8])
def test_decoding_gives_the_masks_back(masks, kind):
    encoded = encode_masks(kind(masks))
    expected = [mask_util.encode(np.asfortranarray(m)) for m in masks]
    assert encoded == expected
    decoded = DecodedMasks(encoded)
    assert len(decoded) == 4
    for mask, expected in zip(decoded, masks):
        assert mask.dtype == bool and np.array_equal(mask, expected)


def test_no_masks():
    assert encode_masks(torch.zeros(0, 5, 6)) == []
    assert len(DecodedMasks([])) == 0


def test_encoded_mask_is_read_as_rle_and_as_array(masks):
    encoded = encode_masks(masks)
    assert all(isinstance(mask, EncodedMask) for mask in encoded)
    assert mask_util.area(encoded).tolist() == masks.sum((1, 2)).tolist()
    assert np.array_equal(encoded[0][3:5, 7], masks[0, 3:5, 7])
    # as DetInferencer does
    assert encode_mask_results(encoded) == encoded
    again = pickle.loads(pickle.dumps(encoded[0]))
    assert again == encoded[0] and np.array_equal(again[:, :], masks[0])
    json.dumps(dict(encoded[0], counts=encoded[0]['counts'].decode()))
    with pytest.raises(KeyError):
        encoded[0]['area']


def test_instances_are_chosen_with_their_masks(masks):
    instances = InstanceData(
        scores=torch.tensor([0.1, 0.9, 0.2, 0.8]), masks=encode_masks(masks))
    best = instances[instances.scores > 0.5]
    assert best.masks == [instances.masks[1], instances.masks[3]]
