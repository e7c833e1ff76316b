"""The pixel decoder gives what MMDetection's gives."""
import pytest
import torch
from mmdet.registry import MODELS

from tests.models import tiny


def build(kind):
    """With offsets that differ by position, as a trained one has."""
    tiny.build()  # sets the scope and the seed
    head = tiny.tiny_config().panoptic_head
    decoder = MODELS.build(
        dict(
            head.pixel_decoder,
            type=kind,
            in_channels=head.in_channels,
            feat_channels=head.feat_channels,
            out_channels=head.out_channels))
    decoder.init_weights()
    for layer in decoder.encoder.layers:
        torch.nn.init.normal_(layer.self_attn.sampling_offsets.weight, std=0.3)
        torch.nn.init.normal_(layer.self_attn.attention_weights.weight)
    return decoder.eval()


@pytest.fixture(scope='module')
def decoders():
    ours, theirs = build('OneFormerPixelDecoder'), build(
        'MSDeformAttnPixelDecoder')
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


@pytest.mark.parametrize('size', [(64, 96), (64, 32), (96, 33)])
def test_results_are_those_of_mmdetection(decoders, size):
    """In float64, in which gradients that are 0 come out so."""
    results = []
    for decoder in decoders:
        decoder.double()
        features = [x.double() for x in tiny.features(size, batch_size=2)]
        for x in features:
            x.requires_grad_()
        mask_features, maps = decoder(features)
        assert len(maps) == 3
        decoder.zero_grad()
        sum(x.square().sum() for x in (mask_features, *maps)).backward()
        results.append([
            mask_features, *maps, *(x.grad for x in features),
            *(p.grad for p in decoder.parameters())
        ])
    for ours, theirs in zip(*results):
        largest = max(theirs.abs().max(), 1e-3)
        assert (ours - theirs).abs().max() < 1e-5 * largest


@torch.no_grad()
def test_queries_see_the_same_pixels():
    """Where a logit is nearly 0, rounding may decide; that is rare."""
    model = tiny.build()
    head, theirs = model.panoptic_head, build('MSDeformAttnPixelDecoder')
    features = tiny.features((256, 320), batch_size=2)
    seen = []
    for decoder in (head.pixel_decoder, theirs):
        decoder.load_state_dict(head.pixel_decoder.state_dict())
        head.pixel_decoder = decoder
        memory = head.encode(features)
        queries = head.form_queries(memory, [['panoptic', 'semantic']] * 2)
        embeds = head.decode(memory, queries, all_stages=True).mask_embeds
        seen.append(
            torch.cat([
                head._attention_mask(embed, mask).flatten() for embed in embeds
                for mask in memory.level_masks
            ]))
    ours, theirs = seen
    assert 0.01 < ours.float().mean() < 0.99
    assert (ours == theirs).float().mean() >= 0.9999
