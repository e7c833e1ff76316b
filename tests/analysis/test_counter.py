"""Counting multiply-adds."""
import pytest
import torch
import torch.nn.functional as F
from mmengine.analysis import FlopAnalyzer
from torch import nn

from projects.oneformer.analysis.counter import MultiplyAddCounter


class Mixture(nn.Module):
    """An operator of each kind that something is counted for."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 3, stride=2, groups=2)
        self.batch_norm = nn.BatchNorm2d(8)
        self.group_norm = nn.GroupNorm(2, 8)
        self.layer_norm = nn.LayerNorm(8)
        self.linear = nn.Linear(8, 5)
        self.upsample = nn.ConvTranspose2d(5, 3, 2, stride=2)

    def forward(self, x):
        x = self.group_norm(self.batch_norm(self.conv(x)).relu())
        x = F.interpolate(x, scale_factor=2, mode='bilinear')
        x = F.interpolate(x, scale_factor=2, mode='nearest')
        points = x.new_zeros((2, 3, 6, 2))
        x = F.grid_sample(x, points, align_corners=False)
        x = self.linear(self.layer_norm(x.permute(0, 2, 3, 1)))
        x = x.flatten(1, 2)
        scores = torch.einsum('bqc,bkc->bqk', x, x).softmax(-1)
        return self.upsample((scores @ x).transpose(1, 2).view(2, 5, 3, 6))


def count(function, *args) -> MultiplyAddCounter:
    with torch.no_grad(), MultiplyAddCounter() as counter:
        function(*args)
    return counter


def test_counts_what_fvcore_counts():
    model, image = Mixture().eval(), torch.rand((2, 4, 17, 20))
    # MMEngine's copy of fvcore traces the graph; ours watches a run
    expected = FlopAnalyzer(model, (image, ))
    expected.unsupported_ops_warnings(False)
    counter = count(model, image)
    assert counter.parts == {'': expected.total()} == {'': 78336}
    assert sum(counter.operators.values()) == 78336
    assert not counter.unknown


def test_tensors_need_no_values():
    with torch.device('meta'):
        model, image = Mixture().eval(), torch.rand((2, 4, 17, 20))
    assert count(model, image).parts == {'': 78336}


@pytest.mark.parametrize('masked', [False, True])
def test_fused_attention_counts_both_products(masked):
    query, key, value = (torch.rand(2, 4, n, 8) for n in (5, 7, 7))
    mask = torch.ones((2, 1, 5, 7), dtype=torch.bool) if masked else None
    counter = count(F.scaled_dot_product_attention, query, key, value, mask)
    assert counter.parts == {'': 2 * (2 * 4 * 5 * 7 * 8)}


def test_inner_part_is_not_counted_in_the_outer_one():
    x = torch.rand(3, 4)
    counter = MultiplyAddCounter()
    with counter, counter.part('outer'):
        x @ x.t()
        with counter.part('inner'):
            x.t() @ x
        counter.add('kernel', 5)
    assert counter.parts == {'outer': 36 + 5, 'inner': 48}
    assert counter.operators == {'aten.mm': 84, 'kernel': 5}


def test_names_what_it_cannot_count():
    counter = count(lambda x: torch.linalg.inv_ex(x.sort()[0])[0] + x,
                    torch.eye(3))
    assert counter.unknown == {'aten.linalg_inv_ex': 1, 'aten.sort': 1}
    assert not counter.parts
