"""Tiled post-processing equals that of full-size masks."""
import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmdet.models.seg_heads.panoptic_fusion_heads import MaskFormerFusionHead

from projects.oneformer.models import OneFormerFusionHead, mask_resize

NUM_THINGS, NUM_STUFF, NUM_QUERIES = 3, 2, 12
NUM_CLASSES = NUM_THINGS + NUM_STUFF
META = dict(
    batch_input_shape=(64, 96), img_shape=(60, 85, 3), ori_shape=(91, 130, 3))
THRESHOLDS = dict(object_mask_thr=0.3, iou_thr=0.5, max_per_image=20)


def make(things=NUM_THINGS, stuff=NUM_STUFF, **test_cfg):
    return OneFormerFusionHead(
        num_things_classes=things,
        num_stuff_classes=stuff,
        test_cfg=dict(THRESHOLDS, **test_cfg))


def plain_head(**test_cfg):
    """MMDetection's, told to cut segments at 0.5 as the official code."""
    return MaskFormerFusionHead(
        num_things_classes=NUM_THINGS,
        num_stuff_classes=NUM_STUFF,
        test_cfg=dict(THRESHOLDS, filter_low_score=True, **test_cfg))


def plain_masks(mask_logits, rescale=True):
    masks = F.interpolate(
        mask_logits[None], META['batch_input_shape'], mode='bilinear')
    masks = masks[..., :META['img_shape'][0], :META['img_shape'][1]]
    if rescale:
        masks = F.interpolate(masks, META['ori_shape'][:2], mode='bilinear')
    return masks[0]


def random_queries(seed=0):
    """Two queries for each class and for none, with a few blobs each."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(NUM_QUERIES) % (NUM_CLASSES + 1)
    mask_cls = torch.randn((NUM_QUERIES, NUM_CLASSES + 1), generator=generator)
    mask_cls[range(NUM_QUERIES), labels] += 4
    blobs = torch.randn((1, NUM_QUERIES, 4, 6), generator=generator) * 9 - 8
    return mask_cls, F.interpolate(blobs, (16, 24), mode='bicubic')[0]


def predict(head, task, mask_cls, mask_logits, **kwargs):
    result = head.predict({task: mask_cls}, {task: mask_logits}, META,
                          **kwargs)
    assert list(result) == [task]
    return result[task]


def agreement(actual, expected):
    assert actual.shape == expected.shape
    return (actual == expected).float().mean()


@pytest.fixture(autouse=True, params=[300, 1 << 21], ids=['tiles', 'whole'])
def tile_values(request, monkeypatch):
    """Every result must come from many tiles as from one."""
    monkeypatch.setattr(mask_resize, 'TILE_VALUES', request.param)


@pytest.mark.parametrize('rescale', [True, False])
@pytest.mark.parametrize('seed', [0, 1, 2])
def test_panoptic_equals_mmdetection(seed, rescale):
    mask_cls, mask_logits = random_queries(seed)
    expected = plain_head().panoptic_postprocess(
        mask_cls, plain_masks(mask_logits, rescale)).sem_seg
    actual = predict(
        make(), 'panoptic', mask_cls, mask_logits, rescale=rescale).sem_seg
    assert actual.dtype == torch.int32
    assert len(expected.unique()) > 3
    assert set(actual.unique().tolist()) == set(expected.unique().tolist())
    assert agreement(actual, expected) > 0.9995


@pytest.mark.parametrize('rescale', [True, False])
@pytest.mark.parametrize('seed', [0, 1, 2])
def test_instances_equal_mmdetection(seed, rescale):
    mask_cls, mask_logits = random_queries(seed)
    expected = plain_head().instance_postprocess(
        mask_cls, plain_masks(mask_logits, rescale))
    actual = predict(
        make(), 'instance', mask_cls, mask_logits, rescale=rescale)
    assert len(actual) == len(expected) > 5
    assert actual.masks.dtype == torch.bool
    assert torch.equal(actual.labels, expected.labels)
    torch.testing.assert_close(actual.scores, expected.scores)
    assert agreement(actual.masks, expected.masks) > 0.9995
    assert agreement(actual.bboxes, expected.bboxes) > 0.98
    torch.testing.assert_close(actual.bboxes, expected.bboxes, rtol=0, atol=1.)


@pytest.mark.parametrize('rescale', [True, False])
@pytest.mark.parametrize('seed', [0, 1, 2])
def test_semantic_is_the_class_of_the_highest_sum(seed, rescale):
    mask_cls, mask_logits = random_queries(seed)
    scores = torch.einsum('qk,qhw->khw',
                          mask_cls.softmax(-1)[:, :-1],
                          plain_masks(mask_logits, rescale).sigmoid())
    actual = predict(
        make(), 'semantic', mask_cls, mask_logits, rescale=rescale).sem_seg
    assert len(actual.unique()) > 2
    assert agreement(actual, scores.argmax(0)[None]) > 0.9995


def one_query_each(*labels, size=(16, 24), confidence=20.):
    """A query for each label; its mask is to be painted on -9."""
    mask_cls = torch.zeros(len(labels), NUM_CLASSES + 1)
    mask_cls[range(len(labels)), list(labels)] = confidence
    return mask_cls, torch.full((len(labels), *size), -9.)


def test_no_survivor_is_all_void():
    mask_cls, mask_logits = one_query_each(NUM_CLASSES, NUM_CLASSES)
    mask_logits[:] = 9.
    result = predict(make(), 'panoptic', mask_cls, mask_logits).sem_seg
    assert result.shape == (1, 91, 130)
    assert result.eq(NUM_CLASSES).all()
    unsure, _ = one_query_each(0, 1, confidence=0.5)  # scores 0.25 each
    result = predict(make(), 'panoptic', unsure, mask_logits).sem_seg
    assert result.eq(NUM_CLASSES).all()


def test_empty_masks_are_void_and_leave_no_instance_id():
    mask_cls, mask_logits = one_query_each(0, 0, 4)
    mask_logits[1, :, :12] = 9.
    result = predict(make(), 'panoptic', mask_cls, mask_logits).sem_seg
    assert result.unique().tolist() == [NUM_CLASSES, 1000]
    result = predict(make(), 'panoptic', mask_cls, mask_logits - 20).sem_seg
    assert result.eq(NUM_CLASSES).all()


def test_stuff_of_a_class_is_one_segment_and_things_are_numbered_from_1():
    mask_cls, mask_logits = one_query_each(3, 1, 3, 1, 0)
    for place, mask in enumerate(mask_logits):
        mask[:, 4 * place:4 * place + 4] = 9.
    result = predict(make(), 'panoptic', mask_cls, mask_logits).sem_seg
    assert result.unique().tolist() == [3, NUM_CLASSES, 1001, 2001, 3000]
    assert result[0, 45, 10] == 3 and result[0, 45, 55] == 3


@pytest.mark.parametrize('hidden, kept', [(7, True), (9, False)])
def test_segment_must_keep_its_share_of_its_mask(hidden, kept):
    """Of 16 rows that it claims, another one with a higher score takes some.
    """
    mask_cls, mask_logits = one_query_each(0, 1)
    mask_cls[0] *= 0.5
    mask_logits[0] = 9.
    mask_logits[1, :hidden] = 9.
    result = predict(make(), 'panoptic', mask_cls, mask_logits).sem_seg
    assert (1000 in result) == kept
    assert 1001 + 1000 * kept in result


def test_pixels_below_half_are_void():
    mask_cls, mask_logits = one_query_each(0)
    mask_logits[:] = -0.1
    mask_logits[:, 4:8] = 0.1
    result = predict(make(), 'panoptic', mask_cls, mask_logits).sem_seg[0]
    assert result[91 * 6 // 15, 60] == 1000 and result[0, 60] == NUM_CLASSES


def test_several_classes_of_a_query_are_several_instances():
    mask_cls, mask_logits = one_query_each(0, 4)
    mask_cls[0, 2] = mask_cls[0, 0] - 0.5
    mask_cls[0, 4] = mask_cls[0, 0] - 0.2  # stuff, dropped
    mask_logits[0, 4:8, 6:12] = 9.
    result = predict(make(max_per_image=4), 'instance', mask_cls, mask_logits)
    assert sorted(result.labels.tolist()) == [0, 2]
    assert torch.equal(result.masks[0], result.masks[1])
    assert torch.equal(result.bboxes[0], result.bboxes[1])
    high, low = result.scores[result.labels.argsort()]
    torch.testing.assert_close(low / high, torch.tensor(-0.5).exp())


def test_stuff_takes_places_among_the_instances_kept():
    mask_cls, mask_logits = one_query_each(4, 3, 0)
    mask_cls[2] *= 0.1
    result = predict(make(max_per_image=2), 'instance', mask_cls, mask_logits)
    assert len(result) == 0
    assert result.masks.shape == (0, 91, 130)
    assert result.bboxes.shape == (0, 4)


def test_more_instances_asked_than_there_are():
    mask_cls, mask_logits = random_queries()
    result = predict(
        make(max_per_image=10000), 'instance', mask_cls, mask_logits)
    assert len(result) == NUM_QUERIES * NUM_THINGS


def test_boxes_enclose_masks_and_empty_ones_are_zero():
    mask_cls, mask_logits = one_query_each(0, 1, 2)
    mask_logits[0, 4, 6] = 90.
    mask_logits[1] = 9.
    result = predict(make(), 'instance', mask_cls, mask_logits)
    for box, mask in zip(result.bboxes, result.masks):
        rows, columns = mask.nonzero().unbind(1)
        expected = [0, 0, 0, 0] if not mask.any() else [
            columns.min(),
            rows.min(),
            columns.max() +
            1, rows.max() + 1
        ]
        assert box.tolist() == expected
    assert [0, 0, 130, 91] in result.bboxes.tolist()
    assert [0, 0, 0, 0] in result.bboxes.tolist()


def test_score_is_the_class_score_times_the_mean_inside_the_mask():
    mask_cls, mask_logits = one_query_each(1)
    mask_logits[:] = 2.
    result = predict(make(max_per_image=1), 'instance', mask_cls, mask_logits)
    torch.testing.assert_close(
        result.scores, torch.tensor([2.]).sigmoid(), rtol=1e-5, atol=1e-5)


def test_each_task_is_answered_from_its_own_queries():
    queries = {
        task: random_queries(seed)
        for seed, task in enumerate(['semantic', 'panoptic'])
    }
    head = make()
    results = head.predict({
        task: q[0]
        for task, q in queries.items()
    }, {
        task: q[1]
        for task, q in queries.items()
    }, META)
    assert set(results) == {'semantic', 'panoptic'}
    for task, result in results.items():
        assert torch.equal(result.sem_seg,
                           predict(head, task, *queries[task]).sem_seg)


def test_unknown_task_is_refused():
    with pytest.raises(ValueError, match="'depth' is unknown"):
        predict(make(), 'depth', *random_queries())


@pytest.mark.parametrize('task', ['panoptic', 'instance', 'semantic'])
def test_results_are_taken_in_float32_under_autocast(task):
    mask_cls, mask_logits = random_queries()
    expected = predict(make(), task, mask_cls, mask_logits)
    with torch.autocast('cpu', torch.bfloat16):
        actual = predict(make(), task, mask_cls, mask_logits)
    for name, value in expected.items():
        assert torch.equal(actual.get(name), value)


@pytest.mark.parametrize('task', ['panoptic', 'instance', 'semantic'])
def test_works_where_gradients_are_on(task):
    mask_cls, mask_logits = random_queries()
    expected = predict(make(), task, mask_cls, mask_logits)
    actual = predict(make(), task, mask_cls.requires_grad_(),
                     mask_logits.requires_grad_())
    for name, value in actual.items():
        assert not value.requires_grad
        assert torch.equal(value, expected.get(name))


def test_inputs_stay_as_they_are():
    mask_cls, mask_logits = random_queries()
    before = mask_logits.clone()
    for task in ('panoptic', 'instance', 'semantic'):
        predict(make(), task, mask_cls, mask_logits)
    assert torch.equal(mask_logits, before)


class TestRecordedCases:
    """Results of the official code, whose classes stand in another order."""

    @pytest.fixture
    def record(self, shared):
        folder = shared / 'reference/official'
        meta = json.loads((folder / 'postprocess.json').read_text())
        with np.load(folder / 'postprocess.npz') as arrays:
            arrays = {name: arrays[name] for name in arrays.files}
        stuff = [i for i in range(7) if i not in meta['things']]
        return meta, arrays, meta['things'] + stuff

    def predict(self, record, case, task):
        meta, arrays, order = record
        head = make(
            things=3,
            stuff=4,
            object_mask_thr=meta['object_mask_threshold'],
            iou_thr=meta['overlap_threshold'],
            max_per_image=meta['instances_kept'])
        mask_cls = torch.from_numpy(arrays[f'{case}/mask_cls'])[:, [*order, 7]]
        mask_pred = torch.from_numpy(arrays[f'{case}/mask_pred'])
        sizes = dict(
            batch_input_shape=meta['padded'],
            img_shape=meta['image'],
            ori_shape=meta['output'])
        return head.predict({task: mask_cls}, {task: mask_pred}, sizes)[task]

    @pytest.mark.parametrize('case', range(3))
    def test_semantic(self, record, case):
        result = self.predict(record, case, 'semantic').sem_seg[0]
        recorded = record[1][f'{case}/semantic']
        labels = np.array(record[2])[result.numpy()]
        assert (labels == recorded).mean() >= 0.999

    @pytest.mark.parametrize('case', range(3))
    def test_panoptic(self, record, case):
        result = self.predict(record, case, 'panoptic').sem_seg[0].numpy()
        _, arrays, order = record
        recorded = arrays[f'{case}/panoptic']
        segments = arrays[f'{case}/panoptic_info']
        assert len(np.setdiff1d(result, [7])) == len(segments)
        agree = (result == 7) & (recorded == 0)
        for segment_id, label, _ in segments:
            inside = recorded == segment_id
            ids, counts = np.unique(result[inside], return_counts=True)
            mine = ids[counts.argmax()]
            assert order[mine % 1000] == label
            agree |= inside & (result == mine)
        assert agree.mean() >= 0.999

    @pytest.mark.parametrize('case', range(3))
    def test_instances(self, record, case):
        result = self.predict(record, case, 'instance')
        _, arrays, order = record
        scores = arrays[f'{case}/instance_scores']
        masks = np.unpackbits(
            arrays[f'{case}/instance_masks'], axis=-1)[..., :209].astype(bool)
        assert len(result) == len(scores)
        unmatched = set(range(len(result)))
        for label, score, mask in zip(arrays[f'{case}/instance_labels'],
                                      scores, masks):
            mine = max((i
                        for i in unmatched if order[result.labels[i]] == label
                        and abs(result.scores[i].item() - score) <= 1e-4),
                       key=lambda i: (result.masks[i].numpy() == mask).mean())
            assert (result.masks[mine].numpy() == mask).mean() >= 0.999
            unmatched.remove(mine)
