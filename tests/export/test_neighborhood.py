"""Exportable neighborhood attention gives what the model's gives."""
import pytest
import torch

from projects.oneformer.export.neighborhood import \
    ExportableNeighborhoodAttention
from projects.oneformer.models.neighborhood_attention import \
    neighborhood_attention
from tests.models import tiny


def maps(size, keys=None):
    """Queries, keys and values of two heads, and their position bias."""
    query, key, value = (
        torch.randn(1, *shape, 2, 4)
        for shape in (size, keys or size, keys or size))
    return query, key, value, torch.randn(2, 9, 9)


@pytest.mark.parametrize('size, keys, dilation', [((24, 37), None, 1),
                                                  ((24, 37), None, 3),
                                                  ((7, 9), (10, 10), 2)])
def test_results_are_the_same(size, keys, dilation):
    inputs = maps(size, keys)
    expected = neighborhood_attention(*inputs, 5, dilation)
    found = ExportableNeighborhoodAttention()(*inputs, 5, dilation)
    assert tiny.relative(found, expected) < 1e-6


def test_each_call_outside_of_a_trace_has_its_own_tiles():
    attention = ExportableNeighborhoodAttention()
    for size in ((12, 14), (30, 11)):
        inputs = maps(size)
        expected = neighborhood_attention(*inputs, 5, 2)
        assert tiny.relative(attention(*inputs, 5, 2), expected) < 1e-6
