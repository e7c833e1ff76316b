"""Matching of many predictions at once equals MMDetection's one by one."""
import numpy as np
import pytest
import torch
from mmcv.ops import point_sample
from mmdet.models.task_modules import CrossEntropyLossCost, HungarianAssigner
from mmengine.structures import InstanceData

from projects.oneformer.models import BatchHungarianAssigner, MaskPointCost
from projects.oneformer.models.matching import INVALID_COST, sample_masks

D, N, K, P = 3, 10, 5, 50


def costs_config(mask_cost='MaskPointCost'):
    return [
        dict(type='mmdet.ClassificationCost', weight=2.0),
        dict(type=f'mmdet.{mask_cost}', weight=5.0),
        dict(type='mmdet.DiceCost', weight=5.0, pred_act=True, eps=1.0)
    ]


@pytest.fixture
def assigner():
    return BatchHungarianAssigner(costs_config())


def predictions(num_masks):
    """Class logits, point logits, labels and point targets of an image."""
    return (torch.randn(D, N, K + 1) * 3, torch.randn(D, N, P) * 4,
            torch.randint(0, K, (num_masks, )), torch.rand(num_masks, P))


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


def test_mask_cost_equals_the_binary_cross_entropy_cost():
    logits, targets = torch.randn(N, P) * 20, torch.rand(4, P)
    arguments = (InstanceData(masks=logits), InstanceData(masks=targets))
    expected = CrossEntropyLossCost(use_sigmoid=True, weight=5.)(*arguments)
    actual = MaskPointCost(use_sigmoid=True, weight=5.)(*arguments)
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('num_masks', [4, 10, 13, 1])
def test_equals_matching_one_by_one(assigner, num_masks):
    """Per stage and image, with fewer, as many and more masks than queries."""
    images = [predictions(num_masks), predictions(3)]
    matches = assigner.match([assigner.costs(*image) for image in images])
    assert len(matches) == D and {len(stage) for stage in matches} == {2}
    plain = HungarianAssigner(costs_config('CrossEntropyLossCost'))
    for d in range(D):
        for image, (queries, masks) in zip(images, matches[d]):
            scores, points, labels, targets = image
            expected = plain.assign(
                InstanceData(scores=scores[d], masks=points[d]),
                InstanceData(labels=labels, masks=targets)).gt_inds
            actual = torch.zeros(N, dtype=torch.long)
            actual[queries] = masks + 1
            assert torch.equal(actual, expected)
            assert len(queries) == min(N, len(labels))


def test_no_mask_matches_nothing(assigner):
    costs = [assigner.costs(*predictions(n)) for n in (0, 2)]
    assert costs[0].shape == (D, N, 0)
    for empty, other in assigner.match(costs):
        assert [len(index) for index in empty] == [0, 0]
        assert [len(index) for index in other] == [2, 2]


def perfect_image():
    """Query m stands for mask m, for 4 masks, in every stage."""
    labels = torch.tensor([1, 0, 3, 1])
    targets = (torch.rand(4, P) < 0.5).float()
    scores, points = torch.zeros(D, N, K + 1), torch.zeros(D, N, P)
    scores[:, range(4), labels] = 9.
    points[:, :4] = targets * 18 - 9
    return scores, points, labels, targets


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize('part', ['scores', 'points'])
def test_diverging_queries_stay_unmatched(assigner, value, part):
    scores, points, labels, targets = perfect_image()
    broken = scores if part == 'scores' else points
    broken[1, 5:] = value  # queries that no mask needs
    broken[2, 2, 0] = value  # one that a mask would have taken
    costs = assigner.costs(scores, points, labels, targets)
    assert costs.isfinite().all() and costs.abs().max() <= INVALID_COST
    matches = assigner.match([costs])
    for stage in matches[:2]:
        assert stage[0][0].tolist() == stage[0][1].tolist() == [0, 1, 2, 3]
    others = dict(zip(*(index.tolist() for index in matches[2][0])))
    assert [others[query] for query in (0, 1, 3)] == [0, 1, 3]


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_a_diverged_image_leaves_the_others_alone(assigner, value):
    broken = [torch.full((D, N, size), value) for size in (K + 1, P)]
    labels, targets = torch.tensor([0, 2]), torch.rand(2, P)
    matches = assigner.match([
        assigner.costs(*broken, labels, targets),
        assigner.costs(*perfect_image())
    ])
    for diverged, perfect in matches:
        assert len(diverged[0]) == 2
        assert perfect[0].tolist() == perfect[1].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_matched_in_float32(assigner, dtype):
    scores, points, labels, targets = perfect_image()
    points *= 1000  # sums over the points overflow in half precision
    scores += torch.randn_like(scores)
    half = scores.to(dtype), points.to(dtype)
    costs = assigner.costs(*half, labels, targets)
    torch.testing.assert_close(
        costs,
        assigner.costs(*(x.float() for x in half), labels, targets),
        rtol=1e-6,
        atol=1e-6)
    assert costs.dtype == torch.float32 and costs.max() < INVALID_COST
    for stage in assigner.match([costs]):
        assert stage[0][0].tolist() == stage[0][1].tolist() == [0, 1, 2, 3]


def test_costs_leave_no_graph(assigner):
    scores, points, labels, targets = predictions(3)
    costs = assigner.costs(scores.requires_grad_(), points.requires_grad_(),
                           labels, targets)
    assert not costs.requires_grad
