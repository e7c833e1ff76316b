"""Tiled post-processing equals that of full-size masks."""
import json

import numpy as np
import pycocotools.mask as mask_util
import pytest
import torch
import torch.nn.functional as F
from mmdet.models.seg_heads.panoptic_fusion_heads import MaskFormerFusionHead

from projects.oneformer.encoded_masks import encode_masks
from projects.oneformer.models import (OneFormerFusionHead, mask_resize,
                                       oneformer_fusion_head)

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


@pytest.fixture(
    autouse=True, params=[(300, 16), (1 << 21, 1000)], ids=['tiles', 'whole'])
def tile_sizes(request, monkeypatch):
    """Every result must come from many tiles as from one."""
    values, side = request.param
    monkeypatch.setattr(mask_resize, 'TILE_VALUES', values)
    monkeypatch.setattr(mask_resize, 'SMALLEST_SIDE', side)
    monkeypatch.setattr(mask_resize, 'SHARE_OF_SIDE', 0)


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
    # theirs come in no order
    actual, expected = (r[r.scores.argsort()] for r in (actual, expected))
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


@pytest.mark.parametrize('seed', [0, 1])
def test_masks_beyond_the_limit_are_encoded(seed, monkeypatch):
    mask_cls, mask_logits = random_queries(seed)
    expected = predict(make(), 'instance', mask_cls, mask_logits)
    values = expected.masks.numel()
    at_limit = predict(
        make(max_mask_values=values), 'instance', mask_cls, mask_logits)
    assert torch.equal(at_limit.masks, expected.masks)

    sizes = []

    def encode(masks):
        sizes.append(len(masks))
        return encode_masks(masks)

    monkeypatch.setattr(oneformer_fusion_head, 'encode_masks', encode)
    actual = predict(
        make(max_mask_values=values - 1), 'instance', mask_cls, mask_logits)
    # an eighth of the limit at a time
    queries = len(expected.masks.flatten(1).unique(dim=0))
    assert sum(sizes) >= queries
    assert max(sizes) == (values - 1) // (8 * 91 * 130)
    assert isinstance(actual.masks, list) and len(actual) == len(expected)
    decoded = np.stack([mask_util.decode(rle) for rle in actual.masks])
    assert np.array_equal(decoded, expected.masks.numpy())
    assert actual.masks[0]['size'] == [91, 130]
    assert torch.equal(actual.labels, expected.labels)
    assert torch.equal(actual.bboxes, expected.bboxes)
    torch.testing.assert_close(actual.scores, expected.scores)
    best = actual[actual.scores > 0.5]
    assert 0 < len(best.masks) == (expected.scores > 0.5).sum()


def test_no_instance_needs_no_encoding():
    mask_cls, mask_logits = one_query_each(4)
    result = predict(
        make(max_per_image=1, max_mask_values=0), 'instance', mask_cls,
        mask_logits)
    assert result.masks.shape == (0, 91, 130)


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


def test_scores_of_panoptic_segments():
    mask_cls, mask_logits = one_query_each(0, 3, 3, 1)
    mask_cls[1] *= 0.7
    mask_cls[3, 1] = 1e-3  # below the threshold
    for place, mask in enumerate(mask_logits):
        mask[:, 4 * place:4 * place + 4] = 9.
    result = predict(make(), 'panoptic', mask_cls, mask_logits)
    scores = mask_cls.softmax(-1).amax(-1).tolist()
    assert result.segments_info == [
        dict(id=1000, label=0, score=pytest.approx(scores[0])),
        # of two parts of one stuff class the higher score
        dict(id=3, label=3, score=pytest.approx(scores[2])),
    ]
    assert result.cpu().segments_info == result.segments_info


def test_semantic_scores():
    mask_cls, mask_logits = random_queries()
    expected = torch.einsum('qk,qhw->khw',
                            mask_cls.softmax(-1)[:, :-1],
                            plain_masks(mask_logits).sigmoid())
    head = make(semantic_scores=True)
    result = predict(head, 'semantic', mask_cls, mask_logits)
    torch.testing.assert_close(result.scores, expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(result.scores.argmax(0), result.sem_seg[0].long())
    # a data sample decides for itself
    for head, asked in ((head, False), (make(), True)):
        meta = dict(META, semantic_scores=asked)
        result = head.predict(
            dict(semantic=mask_cls), dict(semantic=mask_logits), meta)
        assert ('scores' in result['semantic']) == asked
    limit = NUM_CLASSES * 91 * 130
    make(
        semantic_scores=True, max_score_values=limit).predict(
            dict(semantic=mask_cls), dict(semantic=mask_logits), META)
    head = make(semantic_scores=True, max_score_values=limit - 1)
    with pytest.raises(ValueError, match=f'130 x 91 .* {limit} values'):
        predict(head, 'semantic', mask_cls, mask_logits)


def test_semantic_tiles_cover_the_output_once():
    mask_cls, mask_logits = random_queries()
    sizes = mask_logits.shape[-2:], META['batch_input_shape']
    resizer = mask_resize.MaskResizer(*sizes, META['img_shape'][:2],
                                      META['ori_shape'][:2])
    scores = torch.zeros(NUM_CLASSES, 91, 130)
    for rows, columns, tile in make().semantic_tiles(mask_cls, mask_logits,
                                                     resizer):
        assert scores[:, rows, columns].eq(0).all()
        scores[:, rows, columns] = tile
    expected = predict(
        make(semantic_scores=True), 'semantic', mask_cls, mask_logits).scores
    assert torch.equal(scores, expected)


class TestSettledByBounds:
    """Tiles leave out what cannot matter in them, and results stay equal."""
    SIZES = (48, 64), (192, 256), (180, 250), (270, 375)

    @pytest.fixture(params=['apart', 'overlapping', 'faint'])
    def queries(self, request):
        """Class and mask logits of 60 discs.

        They lie apart; or cover the same places with the same certainty, so
        that the least of all queries decides; or most have hardly a class.
        """
        generator = torch.Generator().manual_seed(3)
        spread = 1. if request.param == 'overlapping' else 3.
        mask_cls = spread * torch.randn((60, 41), generator=generator)
        if request.param == 'faint':
            mask_cls[20:, -1] += 12
        y = torch.arange(48.)[:, None] / 48
        x = torch.arange(64.) / 64
        top, left, radius = torch.rand((3, 60, 1, 1), generator=generator)
        radius = radius / (2 if request.param == 'overlapping' else 6)
        distance = ((y - top)**2 + (x - left)**2).sqrt()
        return mask_cls, 60 * (radius - distance)

    @pytest.fixture
    def head(self):
        return make(things=25, stuff=15, object_mask_thr=0.1)

    @pytest.fixture
    def resizer(self):
        return mask_resize.MaskResizer(*self.SIZES)

    def test_best_class_is_that_of_all_scores(self, queries, head, resizer):
        scores = torch.zeros(40, *self.SIZES[-1])
        for rows, columns, part in head.semantic_tiles(*queries, resizer):
            scores[:, rows, columns] = part
        labels = head.semantic_postprocess(*queries, resizer).sem_seg[0]
        shown = scores.gather(0, labels[None].long())[0]
        best = scores.amax(dim=0)
        assert torch.all(shown >= best - 1e-6)
        assert (labels == scores.argmax(dim=0)).float().mean() > 0.9999
        assert len(labels.unique()) > 5

    def test_panoptic_and_instances_as_with_all_masks_everywhere(
            self, queries, head, resizer, monkeypatch):
        tasks = head.panoptic_postprocess, head.instance_postprocess
        panoptic, instances = (task(*queries, resizer) for task in tasks)
        bounded = mask_resize.MaskResizer.bounded_tiles

        def unsettled(self, masks):
            for tile in bounded(self, masks):
                yield tile._replace(
                    lowest=torch.full_like(tile.lowest, -torch.inf),
                    highest=torch.full_like(tile.highest, torch.inf))

        monkeypatch.setattr(mask_resize.MaskResizer, 'bounded_tiles',
                            unsettled)
        expected, all_instances = (task(*queries, resizer) for task in tasks)
        assert agreement(panoptic.sem_seg, expected.sem_seg) > 0.9999
        assert len(panoptic.segments_info) == len(expected.segments_info) > 3
        assert torch.equal(instances.labels, all_instances.labels)
        assert instances.masks.sum() > 0
        assert agreement(instances.masks, all_instances.masks) > 0.9999
        torch.testing.assert_close(instances.scores, all_instances.scores)

    def test_most_logits_are_not_made(self, head, resizer, monkeypatch,
                                      request):
        if 'whole' in request.node.name:
            pytest.skip('one tile holds all masks')
        made = []
        tile = mask_resize.MaskResizer.tile

        def counted(*args):
            logits = tile(*args)
            made.append(logits.numel())
            return logits

        monkeypatch.setattr(mask_resize.MaskResizer, 'tile', counted)
        places = torch.arange(12)
        mask_logits = torch.full((12, 48, 64), -20.)
        for i in places:
            mask_logits[i, 4 * i:4 * i + 4] = 20.
        mask_cls = torch.zeros(12, 41)
        mask_cls[places, places] = 15.
        every = 12 * 270 * 375
        for task in ('panoptic', 'instance', 'semantic'):
            made.clear()
            getattr(head, f'{task}_postprocess')(mask_cls, mask_logits,
                                                 resizer)
            assert sum(made) < every / 3

    def test_not_a_number_settles_nothing(self, head, resizer):
        mask_cls, mask_logits = torch.randn(6, 41), torch.randn(6, 48, 64)
        mask_logits[2, 5, 7] = torch.nan
        for task in ('panoptic', 'instance', 'semantic'):
            getattr(head, f'{task}_postprocess')(mask_cls, mask_logits,
                                                 resizer)


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
