"""What a model costs, checked on runs with values."""
import pytest
import torch
from mmdet.models import ResNet
from mmengine.config import Config

from projects.oneformer.analysis import complexity
from projects.oneformer.analysis.counter import MultiplyAddCounter
from projects.oneformer.analysis.stages import use_plain_layers
from tests.models import tiny

SIZE = (64, 96)


@pytest.fixture(scope='module')
def result():
    return complexity(Config(dict(model=tiny.tiny_config())), SIZE)


def run(function, *args) -> int:
    """Multiply-adds of a call on tensors with values."""
    with torch.no_grad(), MultiplyAddCounter() as counter:
        function(*args)
    return sum(counter.parts.values())


@pytest.mark.parametrize('field, tasks', [('one_task', 'semantic'),
                                          ('three_tasks', None)])
def test_a_run_executes_the_network_and_at_most_the_rest(result, field, tasks):
    model = tiny.build()
    use_plain_layers(model)
    images, samples = tiny.batch(tiny.sample('semantic', size=SIZE), size=SIZE)
    samples[0].set_metainfo(dict(task=tasks))
    asked = [model.asked_tasks(samples[0])]

    def network():
        model.panoptic_head.predict(model.extract_feat(images), asked)

    counted = getattr(result, field)
    assert counted.network == run(network)
    executed = run(model.predict, images, samples)
    assert executed <= counted.total < 1.2 * executed
    assert not result.uncounted


def test_official_way_predicts_full_masks_at_each_stage(result):
    model = tiny.build()
    use_plain_layers(model)
    images, samples = tiny.batch(tiny.sample('semantic', size=SIZE), size=SIZE)

    def network():
        model.panoptic_head.forward(model.extract_feat(images), samples)

    # forward makes attention masks by a product with features of the level's
    # size, the official code by resizing a full mask
    pixels = [SIZE[0] // s * SIZE[1] // s for s in (32, 16)]
    product = tiny.NUM_QUERIES * tiny.WIDTH * sum(pixels)
    resizing = 4 * tiny.NUM_QUERIES * sum(pixels)
    # queries are formed on features that are projected three times, of which
    # ours is one product of two matrices with them; rows and columns of the
    # positions are projected alone, and weighted alone in place of pixels
    layers = len(model.panoptic_head.query_formation.transformer.layers)
    high, wide = (side // 4 for side in SIZE)
    projections = tiny.WIDTH**2 * (high * wide * (1 + 2 * layers))
    ours = tiny.WIDTH**2 * layers * (
        high * wide + tiny.WIDTH + 1 + high + wide)
    weighting = layers * (tiny.NUM_QUERIES - 1) * tiny.WIDTH * (
        high * wide - high - wide)
    assert result.official.network == (
        run(network) - product + resizing + projections - ours + weighting)


def test_parts_add_up(result):
    model = tiny.build()
    numbers = result.parameters
    assert numbers.total == sum(p.numel() for p in model.parameters())
    head = model.panoptic_head
    assert numbers.text_mapper == 1 + sum(
        p.numel() for p in head.text_mapper.parameters())
    assert numbers.without_text_mapper == numbers.total - numbers.text_mapper
    assert numbers.pixel_decoder == sum(
        p.numel() for p in head.pixel_decoder.parameters())
    for way in (result.official, result.one_task, result.three_tasks):
        assert way.total == way.network + way.post_processing == sum(way)
        assert way[:2] == result.official[:2]


def test_neighborhood_attention_counts_the_keys_of_each_query():
    model = tiny.tiny_config()
    model.backbone = dict(
        type='DiNAT',
        embed_dims=8,
        depths=(1, 1, 1, 1),
        num_heads=(1, 2, 4, 8),
        kernel_size=3,
        dilations=((2, ), (1, ), (1, ), (1, )))
    result = complexity(Config(dict(model=model)), SIZE)
    # scores and weighted sum of 9 keys; levels 2 and 3 are padded for them,
    # which makes keys but no queries
    queries = [(SIZE[0] >> k) * (SIZE[1] >> k) for k in range(2, 6)]
    channels = [8, 16, 32, 64]
    assert result.neighborhood_attention == sum(
        2 * 9 * q * c for q, c in zip(queries, channels))
    assert not result.uncounted


def test_image_is_padded_and_results_have_their_size():
    cfg = Config(dict(model=tiny.tiny_config()))
    padded, small = complexity(cfg, (64, 96)), complexity(cfg, (50, 70))
    assert small.official.network == padded.official.network
    large = complexity(cfg, (64, 96), (128, 192))
    pixels = 3 * 64 * 96
    classes = tiny.NUM_THINGS + tiny.NUM_STUFF
    assert large.official.post_processing == (
        padded.official.post_processing + tiny.NUM_QUERIES * pixels *
        (4 + classes))


def test_queries_that_know_no_task_are_decoded_once():
    model = tiny.tiny_config()
    head = model.panoptic_head
    head.query_formation = dict(type='LearntQueries')
    head.text_mapper = head.loss_contrastive = None
    result = complexity(Config(dict(model=model)), SIZE)
    assert result.three_tasks.network == result.one_task.network
    assert result.parameters.text_mapper == 0


def test_config_is_left_as_it_is():
    cfg = Config(dict(model=tiny.tiny_config()))
    text = cfg.pretty_text
    complexity(cfg, SIZE)
    assert cfg.pretty_text == text


@pytest.mark.parametrize('shapes, message', [
    (((0, 64), ), 'shape is 0 x 64: height and width must be at least 1'),
    (((64, 64), (32, -1)), 'output shape is 32 x -1'),
])
def test_refuses_sizes_that_are_none(shapes, message):
    with pytest.raises(ValueError, match=message):
        complexity(Config(dict(model=tiny.tiny_config())), *shapes)


def test_refuses_what_it_cannot_count():
    with pytest.raises(ValueError, match="model.type is 'Mask2Former'"):
        complexity(Config(dict(model=dict(type='Mask2Former'))), SIZE)
    with pytest.raises(ValueError, match='model.type is None'):
        complexity(Config(dict(lr=1)), SIZE)
    model = tiny.tiny_config()
    del model.num_stuff_classes
    with pytest.raises(ValueError, match='num_stuff_classes is not given'):
        complexity(Config(dict(model=model)), SIZE)
    # widths that do not fit, as an example of what cannot run
    model = tiny.tiny_config()
    model.panoptic_head.in_channels = [8, 16, 32, 99]
    with pytest.raises(ValueError, match='cannot be counted: .*99'):
        complexity(Config(dict(model=model)), SIZE)


def test_tells_of_operators_that_it_cannot_count(monkeypatch):
    forward = ResNet.forward
    monkeypatch.setattr(
        ResNet, 'forward', lambda self, x: forward(self,
                                                   torch.linalg.inv_ex(x)[0]))
    result = complexity(Config(dict(model=tiny.tiny_config())), (64, 64))
    assert result.uncounted == {'aten.linalg_inv_ex': 1}
