"""The detector: one encode, three answers, and what may stand in its way."""
import copy
import warnings

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.runner import load_checkpoint

from projects.oneformer.tasks import TASKS
from tests.models.tiny import (HALF, NUM_CONTEXT, NUM_QUERIES, NUM_STUFF,
                               NUM_THINGS, batch, build, sample, tiny_config)

FIELDS = dict(
    panoptic='pred_panoptic_seg',
    instance='pred_instances',
    semantic='pred_sem_seg')
NUM_CLASSES = NUM_THINGS + NUM_STUFF


def config_for(**test_cfg):
    """Config of a model whose segments survive without training."""
    config = tiny_config()
    config.test_cfg.update(object_mask_thr=0., iou_thr=0.)
    config.test_cfg.update(test_cfg)
    return config


def plain_samples(number=2, **metainfo):
    """Data samples as the test pipeline makes them: without a task."""
    samples = [sample('panoptic') for _ in range(number)]
    for data_sample in samples:
        data_sample.set_metainfo(dict(task=None))
        del data_sample.gt_instances
        data_sample.set_metainfo(metainfo)
    return samples


@torch.no_grad()
def predict(model, **metainfo):
    images, samples = batch(*plain_samples(**metainfo))
    return model.predict(images, samples)


def answers(data_sample):
    """The asked results of a data sample as arrays by name."""
    return {
        f'{field}.{name}': value
        for field in FIELDS.values() if field in data_sample
        for name, value in data_sample.get(field).items()
    }


def assert_same_answers(actual, expected):
    actual, expected = answers(actual), answers(expected)
    assert set(actual) == set(expected)
    for name, value in expected.items():
        assert actual[name].shape == value.shape
        if value.is_floating_point():
            torch.testing.assert_close(
                actual[name], value, rtol=1e-3, atol=1e-3)
        else:  # rounding may move a pixel of a border
            assert (actual[name] == value).float().mean() > 0.999, name


def count_calls(module):
    calls = []
    module.register_forward_hook(lambda *args: calls.append(1))
    return calls


@pytest.fixture(scope='module')
def shared_model():
    return build(config_for())


class TestAnswers:

    def test_one_encode_for_three_tasks(self):
        model = build(config_for())
        encoder = [
            count_calls(model.backbone),
            count_calls(model.panoptic_head.pixel_decoder)
        ]
        together = predict(model)
        assert [len(calls) for calls in encoder] == [1, 1]
        for task, field in FIELDS.items():
            alone = predict(model, task=task)
            for image, own in zip(together, alone):
                assert [f for f in FIELDS.values() if f in own] == [field]
                expected = copy.deepcopy(image)
                for other in set(FIELDS.values()) - {field}:
                    delattr(expected, other)
                assert_same_answers(own, expected)
        assert [len(calls) for calls in encoder] == [4, 4]

    def test_contents(self, shared_model):
        for image in predict(shared_model, ori_shape=(70, 90)):
            panoptic = image.pred_panoptic_seg.sem_seg
            semantic = image.pred_sem_seg.sem_seg
            instances = image.pred_instances
            assert panoptic.shape == semantic.shape == (1, 70, 90)
            assert panoptic.dtype == torch.int32
            labels = panoptic % 1000
            assert labels.max() <= NUM_CLASSES
            assert ((panoptic >= 1000) == (labels < NUM_THINGS)).all()
            assert 0 <= semantic.min() and semantic.max() < NUM_CLASSES
            assert instances.masks.shape == (len(instances), 70, 90)
            assert instances.masks.dtype == torch.bool
            assert instances.bboxes.shape == (len(instances), 4)
            assert instances.labels.max() < NUM_THINGS

    def test_tasks_differ(self, shared_model):
        """Else the comparison of tasks above would show nothing."""
        images, _ = batch(*plain_samples())
        scores, _ = shared_model.panoptic_head.predict(
            shared_model.extract_feat(images), [list(TASKS)] * 2)
        assert (scores[:, 0] - scores[:, 1]).abs().max() > 0.1
        assert (scores[:, 1] - scores[:, 2]).abs().max() > 0.1

    def test_tasks_of_a_batch_may_differ(self, shared_model):
        images, samples = batch(*plain_samples(3))
        samples[0].set_metainfo(dict(task='semantic'))
        samples[1].set_metainfo(dict(task=['instance', 'semantic']))
        with torch.no_grad():
            results = shared_model.predict(images, samples)
            everything = shared_model.predict(*batch(*plain_samples(3)))
        missing = [{'pred_panoptic_seg', 'pred_instances'},
                   {'pred_panoptic_seg'}, {}]
        for image, whole, fields in zip(results, everything, missing):
            assert all(field not in image for field in fields)
            for field in fields:
                delattr(whole, field)
            assert_same_answers(image, whole)

    def test_config_asks_for_tasks(self, shared_model):
        model = build(config_for(tasks=('semantic', 'instance')))
        image = predict(model)[0]
        assert 'pred_panoptic_seg' not in image
        whole = predict(shared_model)[0]
        del whole.pred_panoptic_seg
        assert_same_answers(image, whole)

    @pytest.mark.parametrize('token', TASKS)
    def test_one_token_may_answer_all_tasks(self, token, shared_model):
        """Results are decoded once, all from the queries of one task."""
        model = build(config_for(task_token=token))
        asked = []
        form = model.panoptic_head.form_queries
        model.panoptic_head.form_queries = lambda memory, tasks: (asked.append(
            tasks), form(memory, tasks))[1]
        image = predict(model)[0]
        assert asked == [[[token]] * 2]
        assert [f for f in FIELDS.values()
                if f in image] == list(FIELDS.values())
        images, _ = batch(*plain_samples())
        with torch.no_grad():
            scores, masks = model.panoptic_head.predict(
                model.extract_feat(images), [[token]] * 2)
            expected = model.panoptic_fusion_head.predict(
                {task: scores[0, 0]
                 for task in TASKS}, {task: masks[0, 0]
                                      for task in TASKS}, image.metainfo)
        for task, field in FIELDS.items():
            for name, value in expected[task].items():
                torch.testing.assert_close(image.get(field).get(name), value)

    def test_a_sample_may_ask_for_one_task_under_another_token(self):
        model = build(config_for(task_token='semantic'))
        image = predict(model, task='instance')[0]
        assert [f for f in FIELDS.values() if f in image] == ['pred_instances']

    def test_padding_and_original_sizes(self, shared_model):
        """Images of two sizes, from uint8 pixels to their original size."""
        generator = torch.Generator().manual_seed(0)
        sizes, original = [(60, 50), (41, 64)], [(120, 100), (33, 51)]
        data = dict(
            inputs=[
                torch.randint(0, 256, (3, *size), generator=generator).byte()
                for size in sizes
            ],
            data_samples=[
                DetDataSample(metainfo=dict(img_shape=size, ori_shape=ori))
                for size, ori in zip(sizes, original)
            ])
        with torch.no_grad():
            results = shared_model.test_step(copy.deepcopy(data))
        for image, size in zip(results, original):
            assert image.batch_input_shape == (64, 64)
            for field in ('pred_panoptic_seg', 'pred_sem_seg'):
                assert image.get(field).sem_seg.shape == (1, *size)
            assert image.pred_instances.masks.shape[1:] == size
        data = shared_model.data_preprocessor(data, False)
        with torch.no_grad():
            results = shared_model.predict(**rename(data), rescale=False)
        assert [r.pred_sem_seg.sem_seg.shape[1:] for r in results] == sizes

    def test_works_where_gradients_are_on(self, shared_model):
        images, samples = batch(*plain_samples())
        result = shared_model.predict(images, samples)[0]
        assert_same_answers(result, predict(shared_model)[0])

    @pytest.mark.parametrize('kind', HALF, ids=str)
    def test_autocast(self, shared_model, kind):
        with torch.autocast('cpu', kind):
            image = predict(shared_model)[0]
        expected = predict(shared_model)[0].pred_sem_seg.sem_seg
        assert (image.pred_sem_seg.sem_seg == expected).float().mean() > 0.8


def rename(data):
    return dict(
        batch_inputs=data['inputs'], batch_data_samples=data['data_samples'])


class TestAblations:

    @staticmethod
    def losses(model):
        model.train()
        return model.loss(
            *batch(sample('panoptic', [0, 3]), sample('semantic', [1, 4])))

    def scores(self, model):
        """Class and mask logits (T, ...) of the three tasks of an image."""
        images, _ = batch(*plain_samples())
        with torch.no_grad():
            scores, masks = model.panoptic_head.predict(
                model.eval().extract_feat(images), [list(TASKS)] * 2)
        return scores[0], masks[0]

    def names(self, model):
        return [name for name, _ in model.named_parameters()]

    def check_gradients(self, model):
        losses = self.losses(model)
        sum(loss.mean() for loss in losses.values()).backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
        return losses

    def test_no_task_token(self):
        config = config_for()
        config.panoptic_head.query_formation.initial_queries = 'learnt'
        model = build(config)
        assert not any('task_mlp' in name for name in self.names(model))
        assert model.panoptic_head.query_formation.query_feat.weight.shape[
            0] == NUM_QUERIES
        for predictions in self.scores(model):
            assert len(predictions) == 1  # decoded once, for all tasks
        results = [predict(model, task=task)[0] for task in TASKS]
        merged = predict(model)[0]
        for field, result in zip(FIELDS.values(), results):
            for name, value in result.get(field).items():
                assert torch.equal(merged.get(field).get(name), value)
        self.check_gradients(model)
        text = [
            model.panoptic_head.form_queries(
                model.panoptic_head.encode(
                    model.extract_feat(batch(*plain_samples())[0])),
                [[task]] * 2) for task in TASKS
        ]
        assert torch.equal(text[0], text[1])
        assert torch.equal(text[0], text[2])

    def test_zero_query_initialisation(self):
        config = config_for()
        config.panoptic_head.query_formation.initial_queries = 'zero'
        model = build(config)
        formation = model.panoptic_head.query_formation
        starts = []
        formation.transformer.layers[0].norms[0].register_forward_hook(
            lambda module, args, out: starts.append(out))
        scores, _ = self.scores(model)
        # the same start for every task, but not the same outcome
        assert torch.equal(starts[0][0], starts[0][1])
        assert (scores[0] - scores[1]).abs().max() > 0.01
        assert any('task_mlp' in name for name in self.names(model))
        start = formation._start(
            torch.randn(NUM_QUERIES, 32), torch.randn(2, 3, 32), 2)
        assert start.shape == (2, 3, NUM_QUERIES - 1, 32)
        assert start.eq(0).all()
        self.check_gradients(model)

    def test_no_learnt_context(self):
        config = config_for()
        config.panoptic_head.text_mapper.update(
            num_texts=NUM_QUERIES, num_context=0)
        model = build(config)
        assert not any('context' in name for name in self.names(model))
        assert 'panoptic_head.text_mapper.context.weight' in self.names(
            build(config_for()))
        assert self.check_gradients(model)['loss_contrastive'] > 0

    def test_texts_and_context_must_add_up(self):
        config = config_for()
        config.panoptic_head.text_mapper.num_context = NUM_CONTEXT + 1
        with pytest.raises(ValueError, match='num_texts . num_context'):
            self.losses(build(config))

    def test_no_contrastive_loss(self):
        config = config_for()
        config.panoptic_head.update(text_mapper=None, loss_contrastive=None)
        model = build(config)
        assert not any('text_mapper' in name or 'logit_scale' in name
                       for name in self.names(model))
        assert 'loss_contrastive' not in self.check_gradients(model)

    def test_query_classification_loss_instead(self):
        config = config_for()
        config.panoptic_head.update(
            text_mapper=None,
            loss_contrastive=None,
            loss_query_cls=dict(type='CrossEntropyLoss', loss_weight=0.5))
        model = build(config)
        assert 'panoptic_head.query_cls_embed.weight' in self.names(model)
        assert not any('text_mapper' in name for name in self.names(model))
        losses = self.check_gradients(model)
        assert losses['loss_query_cls'] > 0
        assert 'loss_contrastive' not in losses

    def test_mask2former_trained_jointly(self):
        config = config_for()
        config.panoptic_head.query_formation = dict(type='LearntQueries')
        config.panoptic_head.update(text_mapper=None, loss_contrastive=None)
        model = build(config)
        assert [n for n in self.names(model) if 'query_formation' in n
                ] == ['panoptic_head.query_formation.query_feat.weight']
        self.check_gradients(model)
        model.eval()
        image = predict(model)[0]
        assert [f for f in FIELDS.values()
                if f in image] == list(FIELDS.values())
        for field, task in zip(FIELDS.values(), TASKS):
            alone = predict(model, task=task)[0]
            for name, value in alone.get(field).items():
                assert torch.equal(image.get(field).get(name), value)


class TestCheckpoints:

    @staticmethod
    def without_text_mapper(model):
        return {
            name: value
            for name, value in model.state_dict().items()
            if 'text_mapper' not in name and 'loss_contrastive' not in name
        }

    @pytest.mark.parametrize('way', ['torch', 'mmengine'])
    def test_text_mapper_may_be_missing(self, way, tmp_path):
        trained, model = build(config_for()), build(config_for(), seed=1)
        own = model.panoptic_head.text_mapper.context.weight.clone()
        weights = self.without_text_mapper(trained)
        number = len(weights)
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            if way == 'torch':
                model.load_state_dict(weights)
                assert len(weights) == number  # the caller's stay as they are
            else:
                path = tmp_path / 'checkpoint.pth'
                torch.save(dict(state_dict=weights), path)
                load_checkpoint(
                    model, str(path), map_location='cpu', strict=True)
            for image, expected in zip(predict(model), predict(trained)):
                assert_same_answers(image, expected)
        assert torch.equal(model.panoptic_head.text_mapper.context.weight, own)
        with pytest.warns(UserWarning, match='holds no text mapper'):
            TestAblations.losses(model)
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            assert 'loss_contrastive' in TestAblations.losses(model)

    def test_whole_checkpoint_does_not_warn(self):
        trained, model = build(config_for()), build(config_for(), seed=1)
        model.load_state_dict(trained.state_dict())
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            TestAblations.losses(model)
        assert torch.equal(model.panoptic_head.text_mapper.context.weight,
                           trained.panoptic_head.text_mapper.context.weight)

    def test_a_later_whole_checkpoint_takes_the_warning_back(self):
        model = build(config_for())
        whole = copy.deepcopy(model.state_dict())
        model.load_state_dict(self.without_text_mapper(model))
        model.load_state_dict(whole)
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            TestAblations.losses(model)

    def test_temperature_is_taken_where_the_text_mapper_is_missing(self):
        model = build(config_for())
        weights = self.without_text_mapper(model)
        weights['panoptic_head.loss_contrastive.logit_scale'] = torch.tensor(
            3.25)
        model.load_state_dict(weights)
        assert model.panoptic_head.loss_contrastive.logit_scale == 3.25

    def test_half_a_text_mapper_is_not_taken_for_none(self):
        model = build(config_for())
        weights = model.state_dict()
        del weights['panoptic_head.text_mapper.context.weight']
        with pytest.raises(RuntimeError, match='context.weight'):
            model.load_state_dict(weights)

    @pytest.mark.parametrize('way', ['torch', 'mmengine'])
    def test_other_class_count_names_both(self, way, tmp_path):
        weights = build(config_for()).state_dict()
        config = config_for()
        config.num_things_classes = NUM_THINGS + 3
        model = build(config)
        with pytest.raises(ValueError, match='5 classes, the model 8'):
            if way == 'torch':
                model.load_state_dict(weights)
            else:
                path = tmp_path / 'checkpoint.pth'
                torch.save(dict(state_dict=weights), path)
                load_checkpoint(model, str(path), map_location='cpu')


class TestConfig:

    def test_class_counts_are_handed_to_both_heads(self, shared_model):
        for part in (shared_model, shared_model.panoptic_head,
                     shared_model.panoptic_fusion_head):
            assert part.num_things_classes == NUM_THINGS
            assert part.num_stuff_classes == NUM_STUFF
            assert part.num_classes == NUM_CLASSES

    @pytest.mark.parametrize('count',
                             ['num_things_classes', 'num_stuff_classes'])
    def test_missing_class_counts(self, count):
        config = tiny_config()
        del config[count]
        with pytest.raises(ValueError, match='num_stuff_classes .*not set'):
            build(config)

    @pytest.mark.parametrize('test_cfg', [
        dict(tasks=('panoptic', 'depth')),
        dict(tasks=('panoptic', 'panoptic')),
        dict(task_token='depth'),
        dict(tasks=())
    ])
    def test_unknown_tasks_of_the_config(self, test_cfg):
        with pytest.raises(ValueError, match='panoptic, instance, semantic'):
            build(config_for(**test_cfg))

    def test_task_token_may_be_none(self, shared_model):
        model = build(config_for(task_token=None))
        assert_same_answers(predict(model)[0], predict(shared_model)[0])

    def test_unknown_task_of_a_sample(self, shared_model):
        with pytest.raises(ValueError, match="'depth' is unknown: choose"):
            predict(shared_model, task='depth')

    def test_config_stays_as_it_is(self):
        config = config_for()
        before = copy.deepcopy(config.to_dict())
        build(config)
        assert config.to_dict() == before


class TestTraining:

    @pytest.mark.parametrize('labels', [([], []), ([0, 3], [])])
    def test_every_parameter_has_a_gradient(self, labels):
        model = build(config_for()).train()
        losses = model.loss(*batch(*(sample('semantic', x) for x in labels)))
        assert all(loss.isfinite().all() for loss in losses.values())
        model.parse_losses(losses)[0].backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name

    def test_one_image(self):
        model = build(config_for()).train()
        losses = model.loss(*batch(sample('instance', [0, 1])))
        assert losses['loss_contrastive'] == 0
        model.parse_losses(losses)[0].backward()
        assert all(p.grad is not None for p in model.parameters())

    def test_overfits_a_batch(self):
        """A few steps on one batch lower every kind of loss."""
        torch.manual_seed(0)
        config = config_for()
        model = build(config).train()
        optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
        data = batch(sample('panoptic', [0, 1, 3]), sample('semantic', [2, 4]))
        history = []
        for _ in range(25):
            losses = model.loss(*copy.deepcopy(data))
            optimizer.zero_grad()
            model.parse_losses(losses)[0].backward()
            optimizer.step()
            history.append({k: v.mean().item() for k, v in losses.items()})
        for name in ('loss_cls', 'loss_mask', 'loss_dice', 'loss_contrastive'):
            first, last = (
                np.mean([step[name] for step in part])
                for part in (history[:3], history[-3:]))
            assert last < 0.9 * first, name

    def test_nan_features_do_not_end_training(self, monkeypatch):
        model = build(config_for()).train()
        extract = model.extract_feat
        monkeypatch.setattr(
            model, 'extract_feat',
            lambda images: [x * float('nan') for x in extract(images)])
        losses = TestAblations.losses(model)
        assert losses['loss_cls'].isnan()

    @pytest.mark.parametrize('kind', HALF, ids=str)
    def test_autocast(self, kind):
        model = build(config_for()).train()
        with torch.autocast('cpu', kind):
            losses = TestAblations.losses(model)
        assert all(loss.isfinite().all() for loss in losses.values())
        model.parse_losses(losses)[0].backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad.isfinite().all(), name
