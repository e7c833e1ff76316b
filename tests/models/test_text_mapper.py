"""The text mapper equals encoding every text of the padded list in full."""
import pytest
import torch
import torch.nn as nn
from mmseg.utils.tokenizer import tokenize

from projects.oneformer.models import TextMapper
from projects.oneformer.models.text_mapper import CONTEXT_LENGTH, VOCABULARY

NUM_TEXTS, NUM_CONTEXT, WIDTH, CHANNELS = 8, 3, 16, 12
TEXTS = [[
    'a photo with a cat', 'a photo with a polar bear', 'a photo with a cat'
], []]
TASKS = ['instance', 'semantic']


def make(**kwargs):
    sizes = dict(num_texts=NUM_TEXTS, num_context=NUM_CONTEXT)
    sizes.update(kwargs)
    mapper = TextMapper(
        CHANNELS, width=WIDTH, num_layers=2, num_heads=4, **sizes)
    mapper.init_weights()
    for name, parameter in mapper.named_parameters():
        if parameter.dim() == 1:  # biases start at zero
            nn.init.normal_(parameter, mean='ln' in name, std=0.3)
    return mapper


@pytest.fixture(name='mapper')
def mapper_fixture():
    return make()


def encode_in_full(mapper, texts):
    """Every text at 77 tokens, with PyTorch's own attention and mask."""
    tokens = tokenize(texts, CONTEXT_LENGTH)
    encoder = mapper.encoder
    x = encoder.token_embedding(tokens) + encoder.positional_embedding
    future = torch.full((CONTEXT_LENGTH, CONTEXT_LENGTH), -torch.inf).triu(1)
    for layer in encoder.layers:
        y = layer.ln_1(x)
        x = x + layer.attn(y, y, y, attn_mask=future, need_weights=False)[0]
        y = layer.mlp.c_fc(layer.ln_2(x))
        x = x + layer.mlp.c_proj(y * torch.sigmoid(1.702 * y))
    ends = (tokens == VOCABULARY - 1).nonzero()[:, 1]
    return mapper.projector(
        encoder.ln_final(x)[torch.arange(len(texts)), ends])


def padded(texts, task):
    padding = dict(
        panoptic='a panoptic photo',
        instance='an instance photo',
        semantic='a semantic photo')[task]
    return [*texts, *[padding] * (NUM_TEXTS - len(texts))]


def test_equals_the_full_computation(mapper):
    actual = mapper(TEXTS, TASKS)
    expected = torch.stack([
        torch.cat([
            encode_in_full(mapper, padded(texts, task)), mapper.context.weight
        ]) for texts, task in zip(TEXTS, TASKS)
    ])
    assert actual.shape == (2, NUM_TEXTS + NUM_CONTEXT, CHANNELS)
    torch.testing.assert_close(actual, expected, rtol=1e-6, atol=1e-6)
    parameters = dict(mapper.named_parameters())
    weight = torch.randn_like(expected) / expected.numel()
    for name, mine, right in zip(
            parameters,
            torch.autograd.grad((actual * weight).sum(), parameters.values()),
            torch.autograd.grad((expected * weight).sum(),
                                parameters.values())):
        assert right.abs().max() > 0, name
        torch.testing.assert_close(mine, right, rtol=1e-6, atol=1e-6, msg=name)


def test_encodes_different_texts_once_up_to_the_longest_end(mapper):
    seen = []
    mapper.encoder.register_forward_pre_hook(
        lambda module, args: seen.append(args[0]))
    mapper(TEXTS, TASKS)
    distinct = [
        'a photo with a cat', 'a photo with a polar bear', 'an instance photo',
        'a semantic photo'
    ]
    assert len(seen) == 1
    # start, a, photo, with, a, polar, bear, end
    assert torch.equal(seen[0], tokenize(distinct)[:, :8])


def test_order_of_texts_is_kept(mapper):
    features = mapper.encode_texts(['sky', 'cat', 'sky', 'road'])
    torch.testing.assert_close(features[1], mapper.encode_texts(['cat'])[0])
    torch.testing.assert_close(features[3], mapper.encode_texts(['road'])[0])
    assert torch.equal(features[0], features[2])
    assert not torch.allclose(features[0], features[1])


def test_what_follows_the_end_token_does_not_matter(mapper):
    tokens = tokenize(['a photo with a cat'])
    ends = int(tokens.argmax())
    other = tokens.clone()
    other[:, ends + 1:] = 1234
    torch.testing.assert_close(mapper.encoder(tokens), mapper.encoder(other))
    other[:, ends - 1] = 1234
    assert not torch.allclose(mapper.encoder(tokens), mapper.encoder(other))


def test_lists_are_padded_with_the_task_and_cut(mapper):
    assert mapper.pad_texts(
        ['x', 'y'], 'instance') == ['x', 'y', *['an instance photo'] * 6]
    assert mapper.pad_texts([], 'panoptic') == ['a panoptic photo'] * 8
    many = [f'text {i}' for i in range(11)]
    assert mapper.pad_texts(many, 'semantic') == many[:8]
    assert mapper([many], ['semantic']).shape == (1, 11, CHANNELS)


def test_text_longer_than_the_encoder_keeps_its_end_token(mapper):
    long_text = 'cat ' * 100
    features = mapper.encode_texts([long_text, 'cat'])
    torch.testing.assert_close(
        features,
        encode_in_full(mapper, [long_text, 'cat']),
        rtol=1e-6,
        atol=1e-6)


def test_context_is_the_same_for_all_images_and_comes_last(mapper):
    queries = mapper(TEXTS, TASKS)
    for image in queries:
        assert torch.equal(image[NUM_TEXTS:], mapper.context.weight)


def test_without_learnt_context_all_text_queries_come_from_the_list():
    mapper = make(num_texts=5, num_context=0)
    assert not any('context' in name for name, _ in mapper.named_parameters())
    queries = mapper([['cat', 'sky']], ['panoptic'])
    torch.testing.assert_close(
        queries[0],
        mapper.encode_texts(['cat', 'sky', *['a panoptic photo'] * 3]))


def test_new_encoder_holds_no_unset_memory():
    """A checkpoint without text mapper may be loaded into it at once."""
    for _ in range(3):
        weights = TextMapper(12, 8, width=16, num_layers=1, num_heads=1)
        assert weights.encoder.positional_embedding.abs().max() < 1


def test_initial_deviations_are_those_of_clip():
    mapper = TextMapper(64, 10, width=64, num_layers=2, num_heads=1)
    mapper.init_weights()
    encoder, layer = mapper.encoder, mapper.encoder.layers[0]
    for weight, deviation in ((encoder.token_embedding.weight,
                               0.02), (encoder.positional_embedding, 0.01),
                              (layer.attn.in_proj_weight, 64**-0.5),
                              (layer.attn.out_proj.weight, 64**-0.5 * 4**-0.5),
                              (layer.mlp.c_fc.weight, 128**-0.5),
                              (layer.mlp.c_proj.weight, 64**-0.5 * 4**-0.5)):
        assert weight.std().item() == pytest.approx(deviation, rel=0.1)


@pytest.mark.parametrize('dtype', [torch.bfloat16])
def test_runs_under_autocast(mapper, dtype):
    with torch.autocast('cpu', dtype):
        queries = mapper(TEXTS, TASKS)
    torch.testing.assert_close(
        queries.float(), mapper(TEXTS, TASKS), rtol=0, atol=0.1)
