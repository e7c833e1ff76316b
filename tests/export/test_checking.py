"""The comparison with the original sees what it should see."""
import pytest
import torch

from projects.oneformer.export import ExportError, ExportNetwork
from projects.oneformer.export.checking import compare
from tests.models import tiny

SIZE = (64, 96)


@pytest.fixture(scope='module')
def model():
    return tiny.build()


class Runtime:
    """The network itself, with its attention masks.

    Args:
        flipped (float): Share of the mask bits of the first layer to turn.
        factor (float): What mask logits are multiplied with.
    """

    def __init__(self, model, flipped=0., factor=1.):
        self.network = ExportNetwork(model)
        self.flipped, self.factor = flipped, factor
        self.original = self.network.head._attention_mask
        self.network.head._attention_mask = self.attention_mask

    def attention_mask(self, *args):
        mask = self.original(*args)
        if not self.masks:
            places = torch.rand(mask.shape) < self.flipped
            mask = mask ^ places
        self.masks.append(mask)
        return mask

    def __call__(self, image, tokens):
        self.masks = []
        with torch.no_grad():
            classes, masks = self.network(image, tokens)
        return classes, masks * self.factor, self.masks


def test_the_same_network_agrees(model):
    agreement = compare(model, Runtime(model), SIZE)
    assert agreement.size == SIZE and agreement.bits == 0
    assert max(agreement[1:3]) < 1e-5
    assert '_attention_mask' not in vars(model.panoptic_head)


def test_logits_that_differ_are_refused(model):
    with pytest.raises(ExportError, match='mask logits 2.0e-03'):
        compare(model, Runtime(model, factor=1.002), SIZE)


def test_bits_that_differ_are_counted(model):
    """They change what follows; the logits are compared all the same."""
    with pytest.raises(
            ExportError, match=r'mask logits \S+e(\+00|-0[67]), atten'):
        compare(model, Runtime(model, flipped=0.01), SIZE)


def test_masks_must_be_found(model):

    def runtime(image, tokens):
        return (*Runtime(model)(image, tokens)[:2], [])

    with pytest.raises(RuntimeError, match='0 attention masks'):
        compare(model, runtime, SIZE)
