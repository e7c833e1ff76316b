"""A compiled model gives what it gave, and is not compiled for ever."""
import shutil

import pytest
import torch

from tests.models import tiny

needs_compiler = pytest.mark.skipif(
    shutil.which('g++') is None and shutil.which('clang++') is None,
    reason='torch.compile needs a C++ compiler on a CPU')
#: Sizes between those at which Inductor sums in another way (4096 values).
SIZES = ((96, 128), (128, 160), (160, 96), (64, 192))


def config(backbone='ResNet'):
    model = tiny.tiny_config()
    if backbone == 'OneFormerSwinTransformer':
        model.backbone = dict(
            type=backbone,
            embed_dims=8,
            depths=(1, 1, 1, 1),
            num_heads=(1, 2, 4, 8),
            window_size=4,
            drop_path_rate=0.)
    return model


def data(size):
    return tiny.batch(
        tiny.sample('panoptic', [0, 3], size),
        tiny.sample('semantic', [1, 4, 4], size),
        size=size)


def step(model, size):
    """Losses and gradients of a training step with seeded points."""
    torch.manual_seed(0)
    model.zero_grad()
    losses = model.loss(*data(size))
    sum(loss.sum() for loss in losses.values()).backward()
    return losses, {
        name: parameter.grad
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


@pytest.fixture
def count_graphs():
    """Count what is compiled from a state in which nothing is."""
    torch._dynamo.reset()
    counters = torch._dynamo.utils.counters
    counters.clear()
    yield lambda: counters['stats']['unique_graphs']
    torch._dynamo.reset()


@needs_compiler
@pytest.mark.slow
def test_training_is_the_same_at_any_size(count_graphs):
    plain = tiny.build(config()).train()
    model = tiny.build(config()).train()
    model.compile()
    assert model.state_dict().keys() == plain.state_dict().keys()
    graphs = []
    for size in SIZES:
        losses, gradients = step(model, size)
        expected, expected_gradients = step(plain, size)
        for name, loss in expected.items():
            torch.testing.assert_close(losses[name], loss, msg=name)
        assert gradients.keys() == expected_gradients.keys()
        largest = max(g.abs().max() for g in expected_gradients.values())
        for name, gradient in expected_gradients.items():
            error = (gradients[name] - gradient).abs().max()
            assert error < 1e-3 * largest, name
        graphs.append(count_graphs())
    # one set of graphs for the first size, and one for any other
    assert graphs[-1] == graphs[1] == 2 * graphs[0] > 0


@needs_compiler
@pytest.mark.slow
def test_answers_are_the_same_at_any_size(count_graphs):
    model = tiny.build(config())
    model.compile()
    graphs = list(answer_alike(model, tiny.build(config()), count_graphs))
    assert graphs[-1] == graphs[1] == 2 * graphs[0] > 0


def test_swin_is_compiled_size_by_size(count_graphs):
    """Traced alone; tracing windows of any size would not end."""
    model = tiny.build(config('OneFormerSwinTransformer'))
    model.compile(backend='eager')
    plain = tiny.build(config('OneFormerSwinTransformer'))
    graphs = list(answer_alike(model, plain, count_graphs))
    # the backbone each time, with the second size the parts behind it as well
    assert [b - a for a, b in zip(graphs, graphs[1:])] == [4, 1, 1]


@torch.no_grad()
def answer_alike(model, plain, count_graphs):
    """Yield the number of graphs after each size, with equal answers."""
    for size in SIZES:
        (ours, *_), (theirs, *_) = (
            net.panoptic_head.predict(
                net.extract_feat(data(size)[0]), [['panoptic'], ['semantic']])
            for net in (model, plain))
        assert tiny.relative(ours, theirs) < 1e-4
        sample = model.predict(*data(size))[0]
        assert sample.pred_panoptic_seg.sem_seg.shape == (1, *size)
        yield count_graphs()


@needs_compiler
@pytest.mark.slow
def test_with_mixed_precision(count_graphs):
    model = tiny.build(config()).train()
    expected, _ = step(model, SIZES[0])
    model.compile()
    with torch.autocast('cpu', torch.bfloat16):
        losses, gradients = step(model, SIZES[0])
    for name, loss in expected.items():
        torch.testing.assert_close(
            losses[name], loss, rtol=0.15, atol=0.1, msg=name)
    assert all(g.isfinite().all() for g in gradients.values())
    assert count_graphs() > 0


def test_parts_that_follow_the_content_are_not_compiled(monkeypatch):
    """With a stand-in for the compiler: which parts it is given."""
    compiled = []

    def compile(function, **kwargs):
        compiled.append((function, kwargs))
        return function

    monkeypatch.setattr(torch, 'compile', compile)
    model = tiny.build(config())
    head, decode = model.panoptic_head, model.panoptic_head.decode
    model.compile(fullgraph=True)
    functions, options = zip(*compiled)
    assert functions == (model.backbone._call_impl,
                         head.pixel_decoder._call_impl,
                         head.query_formation._call_impl, decode)
    assert all(each['fullgraph'] for each in options)


@pytest.mark.parametrize('chosen, expected', [
    (dict(), dict(options=dict(layout_optimization=False))),
    (dict(mode='max-autotune-no-cudagraphs', dynamic=True),
     dict(
         options=dict(
             max_autotune=True,
             coordinate_descent_tuning=True,
             layout_optimization=False),
         dynamic=True)),
    (dict(options=dict(layout_optimization=True)),
     dict(options=dict(layout_optimization=True))),
    (dict(backend='eager'), dict(backend='eager', mode=None, options=None)),
])
def test_options_are_kept(chosen, expected, monkeypatch):
    compiled = []

    def compile(function, **kwargs):
        compiled.append(kwargs)
        return function

    monkeypatch.setattr(torch, 'compile', compile)
    tiny.build(config()).compile(**chosen)
    assert compiled == [expected] * 4
