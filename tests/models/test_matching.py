"""Matching of many predictions at once equals MMDetection's one by one."""
import numpy as np
import pytest
import torch
from mmdet.models.task_modules import CrossEntropyLossCost, HungarianAssigner
from mmengine.structures import InstanceData

from projects.oneformer.models import BatchHungarianAssigner, MaskPointCost
from projects.oneformer.models.matching import INVALID_COST

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
