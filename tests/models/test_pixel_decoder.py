"""The exportable pixel decoder gives what MMDetection's gives."""
import copy

import pytest
import torch

from projects.oneformer.export.pixel_decoder import ExportablePixelDecoder
from tests.models import tiny


@pytest.fixture(scope='module')
def decoder():
    """With offsets that differ by position, as a trained one has."""
    decoder = tiny.build().panoptic_head.pixel_decoder
    for layer in decoder.encoder.layers:
        torch.nn.init.normal_(layer.self_attn.sampling_offsets.weight, std=0.3)
        torch.nn.init.normal_(layer.self_attn.attention_weights.weight)
    return decoder


@torch.no_grad()
@pytest.mark.parametrize('size', [(64, 96), (32, 32), (96, 33)])
def test_results_are_the_same(decoder, size):
    features = tiny.features(size, batch_size=2)
    mask_features, maps = decoder(features)
    exportable = ExportablePixelDecoder(copy.deepcopy(decoder))
    found, found_maps = exportable(features)
    assert tiny.relative(found, mask_features) < 1e-6
    assert len(found_maps) == len(maps) == 3
    for ours, theirs in zip(found_maps, maps):
        assert tiny.relative(ours, theirs) < 1e-6
