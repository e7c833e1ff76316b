"""Converted official checkpoints give the recorded official results."""
import copy
import importlib.util
import json
from collections import Counter
from itertools import combinations_with_replacement

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from mmseg.utils.tokenizer import tokenize

from projects.oneformer.checkpoints import OFFICIAL, to_mmdet
from projects.oneformer.checkpoints.names import from_ours
from projects.oneformer.models.mask_resize import MaskResizer
from projects.oneformer.models.oneformer_head import Predictions
from projects.oneformer.tasks import TASKS, task_text
from tests.checkpoints.small_models import (CLASSES, OFFICIAL_CLASS, THINGS,
                                            VARIANTS, small_config)

#: The official class of each label, "no object" being the last.
COLUMNS = [*OFFICIAL_CLASS, len(CLASSES)]
ORIGINAL_SIZES = ((120, 160), (80, 112))


@pytest.fixture(scope='module')
def official(shared):
    """The module that recreates the recorded weights."""
    path = shared / 'reference' / 'official_weights.py'
    spec = importlib.util.spec_from_file_location('official_weights', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Recorded:
    """A variant: its record and the model with the converted weights."""

    def __init__(self, official, variant):
        self.record = official.record(variant)
        self.meta = official.meta(variant)
        self.weights = official.state_dict(variant)
        cfg = small_config(variant)
        self.state, self.order = to_mmdet(
            cfg, self.weights, OFFICIAL, variant, things=THINGS)
        init_default_scope('mmdet')
        self.model = MODELS.build(cfg.model)
        self.model.load_state_dict(self.state)
        self.model.eval()

    def images(self):
        return [torch.from_numpy(self.record[f'image{i}']) for i in range(2)]

    def batch(self, task):
        """Normalised images and data samples that ask for a task."""
        samples = [
            DetDataSample(
                metainfo=dict(
                    img_shape=tuple(image.shape[1:]), ori_shape=size))
            for image, size in zip(self.images(), ORIGINAL_SIZES)
        ]
        for sample in samples:
            sample.set_metainfo(dict(task=task))
        data = dict(inputs=self.images(), data_samples=samples)
        data = self.model.data_preprocessor(data)
        return data['inputs'], data['data_samples']


@pytest.fixture(scope='module', params=VARIANTS)
def recorded(request, official):
    return Recorded(official, request.param)


def difference(actual, expected):
    """Largest difference in units of the largest expected value."""
    expected = torch.as_tensor(expected)
    return float((actual - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize('task', TASKS)
@torch.no_grad()
def test_forward_is_the_official_one(recorded, task):
    model, record = recorded.model, recorded.record
    inputs, samples = recorded.batch(task)
    features = model.extract_feat(inputs)
    logits, masks = model.panoptic_head(features, samples)
    for stage, name in ((0, 'first'), (-1, 'pred')):
        expected = record[f'{task}/{name}_logits'][..., COLUMNS]
        assert difference(logits[stage], expected) < 1e-4
        assert difference(masks[stage], record[f'{task}/{name}_masks']) < 1e-4
    memory = model.panoptic_head.encode(features)
    queries = model.panoptic_head.form_queries(memory, [[task]] * 2)[:, 0]
    assert difference(queries, record[f'{task}/queries']) < 1e-4


@torch.no_grad()
def test_tokens_and_text_queries_are_the_official_ones(recorded):
    record, head = recorded.record, recorded.model.panoptic_head
    entries = [recorded.meta[f'train/{i}'] for i in range(2)]
    tasks = [entry['task'] for entry in entries]
    texts = [[text for text in entry['texts'] if ' with ' in text]
             for entry in entries]
    for i, (entry, task) in enumerate(zip(entries, tasks)):
        assert head.text_mapper.pad_texts(texts[i], task) == entry['texts']
        np.testing.assert_array_equal(
            tokenize(entry['texts'], 77), record['train/tokens'][i])
        np.testing.assert_array_equal(
            tokenize([task_text(task)], 77)[0], record['train/task_tokens'][i])
    text_queries = head.text_mapper(texts, tasks)
    assert difference(text_queries, record['train/text_queries']) < 1e-5


@pytest.mark.parametrize('token', TASKS)
@torch.no_grad()
def test_results_are_the_official_ones(recorded, token, monkeypatch):
    model = recorded.model
    monkeypatch.setitem(model.test_cfg, 'task_token', token)
    inputs, samples = recorded.batch(token)
    for sample in samples:
        sample.set_metainfo(dict(task=None))  # all of them
    for i, result in enumerate(model.predict(inputs, samples)):
        check_results(result.pred_sem_seg.sem_seg[0],
                      result.pred_panoptic_seg.sem_seg[0],
                      result.pred_instances, recorded.record, f'{token}/{i}/')


def check_results(semantic, panoptic, instances, record, prefix):
    """Compare with what stands in the record under a prefix."""
    classes = torch.tensor(COLUMNS)
    expected = torch.from_numpy(record[prefix + 'semantic']).long()
    assert (classes[semantic] == expected).float().mean() >= 0.999
    check_panoptic(panoptic, record[prefix + 'panoptic'],
                   record[prefix + 'panoptic_info'])
    check_instances(instances, record[prefix + 'instance_scores'],
                    record[prefix + 'instance_labels'],
                    record[prefix + 'instance_masks'])


def check_panoptic(panoptic, expected, info):
    """Same segments of the same classes, up to their numbering."""
    panoptic, pixels = panoptic.long(), panoptic.numel()
    classes = torch.tensor(COLUMNS)[panoptic % 1000]
    class_of = {0: len(CLASSES), **{row[0]: row[1] for row in info.tolist()}}
    expected = torch.from_numpy(expected).long()
    equal = 0
    segments = set(expected.unique().tolist())
    assert len(panoptic.unique()) == len(segments)
    for segment in segments:
        there = expected == segment
        ids, counts = panoptic[there].unique(return_counts=True)
        ours = panoptic == ids[counts.argmax()]
        assert (classes[ours] == class_of[segment]).all()
        equal += int((ours & there).sum())
    assert equal / pixels >= 0.999


def check_instances(instances, scores, labels, masks):
    """Same instances, matched by label and score."""
    width = instances.masks.shape[-1]
    masks = torch.from_numpy(np.unpackbits(masks, axis=-1)[..., :width] > 0)
    ours = torch.tensor(COLUMNS)[instances.labels]
    assert sorted(ours.tolist()) == sorted(labels.tolist())
    free = set(range(len(scores)))
    for label, score, mask in zip(ours, instances.scores, instances.masks):
        near = [
            k for k in free
            if labels[k] == label and abs(scores[k] - float(score)) < 1e-4
        ]
        same = [(mask == masks[k]).float().mean() for k in near]
        assert near and max(same) >= 0.999
        free.remove(near[int(np.argmax(same))])
    assert not free


def training_samples(recorded):
    """The recorded training batch, its targets made by our rules."""
    samples = []
    label_of = {c: label for label, c in enumerate(OFFICIAL_CLASS)}
    for i, image in enumerate(recorded.images()):
        entry = recorded.meta[f'train/{i}']
        id_map = recorded.record[f'train/{i}/panoptic']
        info = [
            row for row in recorded.record[f'train/{i}/info'].tolist()
            if row[0] in id_map  # some are covered by others
        ]
        if entry['task'] == 'semantic':
            targets = [(c, [s for s, other in info if other == c])
                       for c in sorted({c
                                        for _, c in info})]
        else:
            targets = [(c, [s]) for s, c in info if c in THINGS]
        masks = np.stack([np.isin(id_map, ids) for _, ids in targets])
        sample = DetDataSample(
            metainfo=dict(
                img_shape=tuple(image.shape[1:]),
                task=entry['task'],
                texts=[t for t in entry['texts'] if ' with ' in t]))
        sample.gt_instances = InstanceData(
            labels=torch.tensor([label_of[c] for c, _ in targets]),
            masks=BitmapMasks(masks.astype(np.uint8), *masks.shape[1:]))
        samples.append(sample)
    return samples


def recorded_name(name):
    """The official name of a loss."""
    stage, _, part = name.rpartition('.')
    part = part.replace('loss_cls', 'loss_ce')
    return f'{part}_{stage[1:]}' if stage else part


def test_losses_are_the_official_ones(recorded):
    model = recorded.model
    means, stds = (recorded.meta[f'losses_{key}'] for key in ('mean', 'std'))
    samples = training_samples(recorded)
    model.train()
    sums = {}
    for seed in range(8):
        torch.manual_seed(seed)
        data = dict(
            inputs=recorded.images(), data_samples=copy.deepcopy(samples))
        data = model.data_preprocessor(data, training=True)
        with torch.set_grad_enabled(seed == 7):
            losses = model.loss(data['inputs'], data['data_samples'])
        for name, loss in losses.items():
            name = recorded_name(name)
            sums[name] = sums.get(name, 0) + float(loss.detach()) / 8
    assert sums.keys() == means.keys()
    for name, mean in means.items():
        if 'contrastive' in name:
            assert abs(sums[name] - mean) < 1e-6
        elif 'loss_ce' not in name:
            assert abs(sums[name] - mean) < 4 * stds[name], name
    check_gradients(model, losses, recorded.record)
    model.eval()


@torch.no_grad()
def test_class_losses_are_the_official_ones(recorded):
    """Random points lead to one of a few matchings, each with its loss.

    The recorded mean and deviation must be those of eight of them.
    """
    model, head = recorded.model, recorded.model.panoptic_head
    data = dict(
        inputs=recorded.images(), data_samples=training_samples(recorded))
    data = model.data_preprocessor(data, training=True)
    memory = head.encode(model.extract_feat(data['inputs']))
    instances = [sample.gt_instances for sample in data['data_samples']]
    tasks = [[sample.task] for sample in data['data_samples']]
    predictions = head.decode(
        memory, head.form_queries(memory, tasks), all_stages=True)
    labels = [instance.labels for instance in instances]
    masks = [
        instance.masks.to_tensor(torch.uint8, 'cpu') for instance in instances
    ]
    last = len(predictions.cls_scores) - 1
    seen = {stage: Counter() for stage in range(last + 1)}
    for seed in range(400):
        torch.manual_seed(seed)
        stages = sorted(seen)
        scores, embeds = (part[stages] for part in predictions)
        targets = head._match(
            Predictions(scores, embeds), memory.mask_features, labels, masks)
        for stage, *entry in zip(stages, scores, targets.labels):
            loss = head._class_loss(head.loss_cls, *entry)
            seen[stage][round(float(loss), 4)] += 1
            name = 'loss_ce' if stage == last else f'loss_ce_{stage}'
            if is_of_eight(seen[stage], recorded.meta['losses_mean'][name],
                           recorded.meta['losses_std'][name]):
                del seen[stage]
        if not seen:
            return
    assert not seen


def is_of_eight(losses, mean, std):
    """Whether eight of these values have this mean and deviation.

    Up to 1e-5 of the mean; only the most frequent values are tried.
    """
    values = sorted(value for value, _ in losses.most_common(6))
    draws = np.array(list(combinations_with_replacement(values, 8)))
    error = np.abs(draws.mean(axis=1) - mean) + np.abs(draws.std(axis=1) - std)
    return error.min() < 1e-5 * mean


def check_gradients(model, losses, record):
    """The parameters that learn are those that learn officially."""
    sum(losses.values()).backward()
    learning = {
        name: parameter
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }
    model.zero_grad()
    names = set(from_ours(learning, OFFICIAL))
    assert names == set(record['train/grad_names'].tolist())


def test_class_order_follows_from_the_things(recorded):
    assert recorded.order.indices == list(OFFICIAL_CLASS)
    assert recorded.order.num_things == 3


@pytest.mark.parametrize('case', range(3))
def test_post_processing_is_the_official_one(official, case):
    record = official.record('postprocess')
    meta = json.loads((official.ROOT / 'postprocess.json').read_text())
    head = MODELS.build(
        dict(
            type='OneFormerFusionHead',
            num_things_classes=3,
            num_stuff_classes=4,
            test_cfg=dict(
                object_mask_thr=meta['object_mask_threshold'],
                iou_thr=meta['overlap_threshold'],
                max_per_image=meta['instances_kept'])))
    mask_cls = torch.from_numpy(record[f'{case}/mask_cls'])[:, COLUMNS]
    mask_logits = torch.from_numpy(record[f'{case}/mask_pred'])
    resizer = MaskResizer(mask_logits.shape[-2:], meta['padded'],
                          meta['image'], meta['output'])
    results = [
        getattr(head, f'{task}_postprocess')(mask_cls, mask_logits, resizer)
        for task in ('semantic', 'panoptic', 'instance')
    ]
    check_results(results[0].sem_seg[0], results[1].sem_seg[0], results[2],
                  record, f'{case}/')
