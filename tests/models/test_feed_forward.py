"""A feed-forward network in chunks is mmcv's, with gradients."""
import pytest
import torch
from mmcv.cnn.bricks.transformer import FFN

from projects.oneformer.models import feed_forward
from projects.oneformer.models.feed_forward import ChunkedLayers
from tests.models.tiny import through_frozen, with_gradients


def networks(**kwargs):
    """mmcv's and ours, with equal parameters."""
    both = [FFN(5, 7, **kwargs).double() for _ in range(2)]
    both[1].load_state_dict(both[0].state_dict())
    both[1].layers.__class__ = ChunkedLayers
    return both


@pytest.fixture
def chunks(monkeypatch):
    """Make the rows of a test several chunks, the last of them smaller."""
    monkeypatch.setattr(feed_forward, 'CHUNK_ROWS', 4)


@pytest.mark.parametrize('activation', ['ReLU', 'GELU'])
@pytest.mark.parametrize('shape', [(11, 5), (2, 3, 5), (0, 5)], ids=str)
def test_results_and_gradients_are_those_of_mmcv(activation, shape, chunks):
    plain, ours = networks(act_cfg=dict(type=activation))
    x = torch.randn(shape, dtype=torch.double, requires_grad=True)
    torch.testing.assert_close(
        with_gradients(ours, x), with_gradients(plain, x))


def test_equal_in_float32(chunks):
    plain, ours = (network.float() for network in networks())
    x = torch.randn(11, 5, requires_grad=True)
    torch.testing.assert_close(
        with_gradients(ours, x),
        with_gradients(plain, x),
        rtol=1e-5,
        atol=1e-5)


def test_input_of_the_activation_is_not_the_callers(chunks):
    """ReLU works in place, on nothing that is seen outside."""
    _, ours = networks()
    x = torch.randn(11, 5, dtype=torch.double)
    before = x.clone()
    ours(x)
    assert torch.equal(x, before)


@pytest.mark.parametrize('kwargs', [
    dict(num_fcs=3),
    dict(act_cfg=dict(type='LeakyReLU')),
    dict(ffn_drop=0.5),
])
def test_other_networks_take_the_plain_way(kwargs):
    """Dropout drops the same values with the same seed."""
    plain, ours = networks(**kwargs)
    x = torch.randn(11, 5, dtype=torch.double)
    torch.manual_seed(1)
    expected = plain(x)
    torch.manual_seed(1)
    assert torch.equal(ours(x), expected)


def test_dropout_is_left_out_in_evaluation():
    plain, ours = (network.eval() for network in networks(ffn_drop=0.5))
    x = torch.randn(11, 5, dtype=torch.double)
    torch.testing.assert_close(ours(x), plain(x))


def test_mixed_precision_is_that_of_mmcv():
    plain, ours = (network.float() for network in networks())
    x = torch.randn(11, 5)
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(ours(x), plain(x))


def test_gradients_with_frozen_parameters():
    x = torch.randn(11, 5, dtype=torch.double)
    torch.testing.assert_close(
        *through_frozen(networks(), x), rtol=1e-5, atol=1e-5)
