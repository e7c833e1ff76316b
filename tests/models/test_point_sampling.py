"""Points and values at them are those of MMDetection and mmcv."""
import pytest
import torch
from mmcv.ops import point_sample
from mmdet.models.utils import get_uncertain_point_coords_with_randomness

from projects.oneformer.models.point_sampling import (PointSampler,
                                                      sample_masks,
                                                      sample_predictions)

P = 50


@pytest.mark.parametrize('ratios', [(3., 0.75), (1., 1.), (2.5, 0.)])
def test_points_are_those_of_mmdetection(ratios):
    torch.manual_seed(3)
    sampler = PointSampler(5, P, *ratios, torch.device('cpu'))
    for logits in torch.randn(3, 5, 12, 9) * 3:  # of one mask after another
        torch.manual_seed(3)
        expected = get_uncertain_point_coords_with_randomness(
            logits[:, None], None, P, *ratios)
        found = sampler(logits)
        assert found.shape == expected.shape == (5, P, 2)
        for ours, theirs in zip(found, expected):
            torch.testing.assert_close(
                torch.tensor(sorted(ours.tolist())),
                torch.tensor(sorted(theirs.tolist())))


def test_no_mask_has_no_points():
    sampler = PointSampler(0, P, 3., .75, torch.device('cpu'))
    assert sampler(torch.zeros(0, 4, 4)).shape == (0, P, 2)


@pytest.mark.parametrize('number', [4, 0])
@pytest.mark.parametrize('layout',
                         [torch.contiguous_format, torch.channels_last])
def test_predictions_are_those_of_full_masks(number, layout):
    embeds = torch.randn(3, number, 8, requires_grad=True)
    maps = torch.randn(1, 8, 6, 9).contiguous(memory_format=layout)
    features = maps[0].requires_grad_()
    seen, points = [], torch.rand(3, number, P, 2)

    def choose(logits):
        seen.append(logits)
        return points[len(seen) - 1]

    values, chosen = sample_predictions(embeds, features, choose)
    assert torch.equal(chosen, points) and not chosen.requires_grad
    masks = torch.einsum('dmc,chw->dmhw', embeds, features)
    for ours, theirs in zip(seen, masks):
        torch.testing.assert_close(ours, theirs)
    expected = torch.stack([
        point_sample(mask[:, None], point)[:, 0]
        for mask, point in zip(masks, points)
    ])
    torch.testing.assert_close(values, expected)
    upstream = torch.randn(3, number, P)
    for ours, theirs in zip(
            torch.autograd.grad(values, (embeds, features), upstream),
            torch.autograd.grad(expected, (embeds, features), upstream)):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


class TestSampleMasks:

    @pytest.mark.parametrize('dtype', [torch.uint8, torch.bool])
    @pytest.mark.parametrize('size', [(9, 14), (1, 1), (1, 20), (64, 3)])
    @pytest.mark.parametrize('shared', [True, False])
    def test_equals_point_sample_of_floats(self, dtype, size, shared):
        masks = (torch.rand(4, *size) < 0.5).to(dtype)
        points = torch.rand(1 if shared else 4, 300, 2)
        expected = point_sample(masks[:, None].float(),
                                points.expand(4, -1, -1))[:, 0]
        actual = sample_masks(masks, points)
        assert actual.dtype == torch.float32
        torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5)

    def test_borders_and_the_half_pixel_around(self):
        height, width = 4, 8
        masks = torch.ones(1, height, width, dtype=torch.uint8)
        xs = torch.tensor([0., 0.25, 0.5, 4., 7.5, 7.75, 8.]) / width
        ys = torch.tensor([0., 0.5, 2., 3.5, 4.]) / height
        points = torch.cartesian_prod(xs, ys)[None]
        expected = point_sample(masks[:, None].float(), points)[:, 0]
        actual = sample_masks(masks, points)
        torch.testing.assert_close(actual, expected)
        # half the weight of a border point lies outside, where all is zero
        assert actual[0, 0] == 0.25 and actual[0, 2] == 0.5
        assert actual[0, 12] == 1

    def test_values(self):
        masks = torch.tensor([[[0, 1], [1, 0]]], dtype=torch.bool)
        points = torch.tensor([[[.75, .25], [.25, .25], [.5, .25], [.5, .5],
                                [.625, .25]]])
        torch.testing.assert_close(
            sample_masks(masks, points), torch.tensor([[1, 0, .5, .5, .75]]))

    def test_more_pixels_than_float32_can_count(self):
        height, width = 5000, 4000
        masks = torch.zeros(1, height, width, dtype=torch.uint8)
        masks[0, -1, -1] = masks[0, -2, -3] = 1
        points = torch.tensor([[[3999.5, 4999.5], [3997.5, 4998.5],
                                [3998.5, 4998.5], [3996.5, 4998.5]]])
        values = sample_masks(masks, points / torch.tensor([width, height]))
        torch.testing.assert_close(
            values, torch.tensor([[1., 1., 0., 0.]]), rtol=0, atol=1e-2)

    def test_no_mask(self):
        masks = torch.zeros(0, 6, 7, dtype=torch.uint8)
        assert sample_masks(masks, torch.rand(1, P, 2)).shape == (0, P)
        assert sample_masks(masks, torch.rand(0, P, 2)).shape == (0, P)
