"""The head equals MMDetection's Mask2FormerHead, by another order of work."""
import warnings

import numpy as np
import pytest
import torch
from mmdet.models.dense_heads import Mask2FormerHead
from mmdet.registry import MODELS
from mmengine.structures import InstanceData

from projects.oneformer.tasks import TASKS
from tests.models.tiny import (HALF, NUM_QUERIES, NUM_STUFF, NUM_THINGS, WIDTH,
                               build, features, relative, sample, tiny_config)

SIZE = (64, 96)


def learnt_config(**kwargs):
    """Config of Mask2Former, trained jointly."""
    config = tiny_config(**kwargs)
    config.panoptic_head.query_formation = dict(type='LearntQueries')
    config.panoptic_head.update(text_mapper=None, loss_contrastive=None)
    return config


def mask2former(head, config):
    """MMDetection's head, with the weights of ``head``."""
    settings = config.panoptic_head.deepcopy()
    for name in ('type', 'query_formation', 'text_mapper', 'loss_contrastive'):
        settings.pop(name)
    settings.loss_cls.class_weight = [1.] * (NUM_THINGS + NUM_STUFF) + [0.1]
    train_cfg = config.train_cfg.deepcopy()
    train_cfg.sampler = dict(type='MaskPseudoSampler')
    train_cfg.assigner.type = 'HungarianAssigner'
    train_cfg.assigner.match_costs[1].type = 'CrossEntropyLossCost'
    plain = Mask2FormerHead(
        num_things_classes=NUM_THINGS,
        num_stuff_classes=NUM_STUFF,
        train_cfg=train_cfg,
        **settings)
    plain.load_state_dict({
        name.replace('query_formation.', ''): value
        for name, value in head.state_dict().items()
    })
    return plain.eval()


@pytest.fixture
def pair():
    """Our head with learnt queries, and MMDetection's with its weights."""
    config = learnt_config(num_layers=4)
    head = build(config).panoptic_head
    return head, mask2former(head, config)


@pytest.fixture
def head():
    return build().panoptic_head


def samples(*tasks):
    return [sample(task, size=SIZE) for task in tasks]


class TestAgainstMask2Former:

    def test_parameters_are_its_own(self, pair):
        """Names and shapes, apart from where the learnt queries stand."""
        mine, right = ({
            name: parameter.shape
            for name, parameter in module.named_parameters()
        } for module in pair)
        assert 'query_formation.query_feat.weight' in mine
        mine['query_feat.weight'] = mine.pop(
            'query_formation.query_feat.weight')
        assert mine == right

    def test_all_predictions(self, pair):
        x = features(SIZE)
        mine, right = (
            head(x, samples('panoptic', 'instance')) for head in pair)
        for actual, expected in zip(mine, right):
            assert len(actual) == len(expected) == 5
            for stage, plain_stage in zip(actual, expected):
                assert stage.shape == plain_stage.shape
                assert relative(stage, plain_stage) <= 1e-4

    def test_attention_masks(self, pair):
        """Masks from resized features are the resized masks, cut at 0."""
        head, plain = pair
        x = features((256, 320))
        memory = head.encode(x)
        query = torch.randn(2, NUM_QUERIES, WIDTH)
        embed = head.mask_embed(head.transformer_decoder.post_norm(query))
        _, maps = plain.pixel_decoder(x)
        for level in range(3):
            hidden = plain._forward_head(query, memory.mask_features,
                                         maps[level].shape[-2:])[2]
            hidden = hidden & ~hidden.all(dim=-1, keepdim=True)
            hidden = hidden.unflatten(0, (2, -1))
            visible = head._attention_mask(embed, memory.level_masks[level])
            share = (visible[:, None] == ~hidden).float().mean()
            assert share >= 0.9999
            assert 0.1 < visible.float().mean() < 0.9

    def test_query_without_a_pixel_sees_all(self, head):
        mask_features = torch.rand(1, WIDTH, 12)
        embed = torch.stack([torch.ones(WIDTH), -torch.ones(WIDTH)])[None]
        assert head._attention_mask(embed, mask_features).all()

    def test_losses_and_gradients(self, pair, monkeypatch):
        monkeypatch.setattr(torch, 'rand', rand_by_number)
        data = [
            sample('panoptic', [0, 1, 1, 3], SIZE),
            sample('semantic', [4, 2], SIZE)
        ]
        x = features(SIZE)
        for head in pair:
            head.train()
        mine = pair[0].loss(x, data)
        truth = [
            InstanceData(
                labels=s.gt_instances.labels,
                masks=s.gt_instances.masks.to_tensor(torch.bool, 'cpu'))
            for s in data
        ]
        right = pair[1].loss_by_feat(*pair[1](x, data), truth,
                                     [s.metainfo for s in data])
        assert set(mine) == set(right) and len(mine) == 15
        for name, value in right.items():
            assert value.mean() > 0.01
            torch.testing.assert_close(
                mine[name].mean(), value.mean(), rtol=1e-4, atol=1e-5)
        mine, right = (gradients(head, losses)
                       for head, losses in zip(pair, (mine, right)))
        mine['query_feat.weight'] = mine.pop(
            'query_formation.query_feat.weight')
        assert set(mine) == set(right)
        largest = max(g.abs().max() for g in right.values())
        for name, gradient in right.items():
            torch.testing.assert_close(
                mine[name], gradient, rtol=1e-3, atol=1e-5 * largest, msg=name)


def rand_by_number(*size, device=None):
    """Points that depend on their number alone, in every row the same."""
    rows, number, dims = size[0] if isinstance(size[0], tuple) else size
    points = np.random.default_rng(number).random((1, number, dims))
    return torch.from_numpy(points).float().repeat(rows, 1, 1)


def gradients(head, losses):
    head.zero_grad()
    sum(loss.mean() for loss in losses.values()).backward()
    return {name: p.grad for name, p in head.named_parameters()}


class TestTasks:

    def test_together_equal_one_by_one(self, head):
        x = features(SIZE)
        scores, masks = head.predict(x, [list(TASKS)] * 2)
        assert scores.shape == (2, 3, NUM_QUERIES, NUM_THINGS + NUM_STUFF + 1)
        assert masks.shape == (2, 3, NUM_QUERIES, *x[0].shape[-2:])
        for t, task in enumerate(TASKS):
            own_scores, own_masks = head.predict(x, [[task]] * 2)
            assert relative(scores[:, t], own_scores[:, 0]) < 1e-4
            assert relative(masks[:, t], own_masks[:, 0]) < 1e-4
            all_scores, all_masks = head(x, samples(task, task))
            assert relative(scores[:, t], all_scores[-1]) < 1e-4
            assert relative(masks[:, t], all_masks[-1]) < 1e-4
        assert relative(scores[:, 0], scores[:, 1]) > 1e-2

    def test_each_image_has_its_own(self, head):
        x = features(SIZE)
        scores, _ = head.predict(x, [['semantic', 'instance'], ['instance']])
        expected, _ = head.predict(x, [list(TASKS)] * 2)
        assert scores.shape[1] == 2
        for image, place, task in ((0, 0, 2), (0, 1, 1), (1, 0, 1), (1, 1, 1)):
            assert relative(scores[image, place], expected[image, task]) < 1e-4

    def test_all_stages_end_with_the_last(self, head):
        memory = head.encode(features(SIZE))
        queries = head.form_queries(memory, [['panoptic']] * 2)
        stages = head.decode(memory, queries, all_stages=True)
        last = head.decode(memory, queries)
        assert len(stages.cls_scores) == 3 and len(last.cls_scores) == 1
        assert torch.equal(stages.cls_scores[-1:], last.cls_scores)
        assert torch.equal(stages.mask_embeds[-1:], last.mask_embeds)

    def test_task_token_passes_the_final_norm_and_is_the_last_query(
            self, head):
        memory = head.encode(features(SIZE))
        queries = head.form_queries(memory, [['semantic']] * 2)
        token = head.query_formation.task_mlp([['semantic']])[0, 0]
        torch.testing.assert_close(queries[0, 0, -1],
                                   head.transformer_decoder.post_norm(token))


class TestLosses:
    NAMES = {'loss_cls', 'loss_mask', 'loss_dice'}

    @pytest.fixture
    def config(self):
        return tiny_config(num_layers=1)

    def losses(self, config, *data):
        head = build(config).panoptic_head.train()
        return head, head.loss(features(SIZE, len(data)), list(data))

    def data(self):
        return (sample('panoptic', [0, 3],
                       SIZE), sample('instance', [1, 2, 0], SIZE))

    def test_names(self, config):
        _, losses = self.losses(config, *self.data())
        assert set(losses) == {
            *self.NAMES, *(f'd0.{name}' for name in self.NAMES),
            'loss_contrastive'
        }

    def test_contrastive_loss_is_that_of_the_formed_queries(self, config):
        data = self.data()
        head, losses = self.losses(config, *data)
        memory = head.encode(features(SIZE))
        queries = head.form_queries(memory, [['panoptic'], ['instance']])
        texts = head.text_mapper([s.texts for s in data],
                                 ['panoptic', 'instance'])
        torch.testing.assert_close(losses['loss_contrastive'],
                                   head.loss_contrastive(queries[:, 0], texts))
        assert losses['loss_contrastive'] > 0

    def test_without_contrastive_loss_there_is_no_text_mapper(self, config):
        config.panoptic_head.update(text_mapper=None, loss_contrastive=None)
        head, losses = self.losses(config, *self.data())
        assert 'loss_contrastive' not in losses
        for name, _ in head.named_parameters():
            assert 'text' not in name and 'logit_scale' not in name

    @pytest.mark.parametrize('part', ['text_mapper', 'loss_contrastive'])
    def test_text_mapper_and_its_loss_come_together(self, config, part):
        config.panoptic_head[part] = None
        with pytest.raises(ValueError, match='give both or neither'):
            build(config)

    def test_query_classification_loss_instead(self, config):
        config.panoptic_head.update(
            text_mapper=None,
            loss_contrastive=None,
            loss_query_cls=dict(type='CrossEntropyLoss', loss_weight=0.5))
        head = build(config).panoptic_head.train()
        assert head.query_cls_embed.weight.shape == (NUM_THINGS + NUM_STUFF +
                                                     1, WIDTH)
        calls = []
        for loss in (head.loss_query_cls, head.loss_cls):
            loss.register_forward_pre_hook(lambda module, args: calls.append(
                (module, args)))
        data, x = self.data(), features(SIZE)
        losses = head.loss(x, list(data))
        labels = [args[1] for module, args in calls if module is head.loss_cls]
        (_, (scores, query_labels)), = [
            call for call in calls if call[0] is head.loss_query_cls
        ]
        # the labels of the first prediction, not those of the last
        assert torch.equal(query_labels, labels[0])
        assert not torch.equal(labels[0], labels[1])
        assert (query_labels < NUM_THINGS + NUM_STUFF).sum() == 5
        queries = head.form_queries(
            head.encode(x), [['panoptic'], ['instance']])[:, 0]
        weight = torch.tensor([1.] * (NUM_THINGS + NUM_STUFF) + [0.1])
        expected = 0.5 * torch.nn.functional.cross_entropy(
            head.query_cls_embed(queries).flatten(0, 1), labels[0], weight)
        torch.testing.assert_close(losses['loss_query_cls'], expected)
        assert 'loss_contrastive' not in losses
        losses['loss_query_cls'].backward()
        assert head.query_cls_embed.weight.grad.abs().max() > 0
        assert head.query_formation.task_mlp.layers[0].weight.grad is not None

    def test_masks_of_all_images_count_alike(self, config, monkeypatch):
        """The mask losses are means over masks, not over images."""
        monkeypatch.setattr(torch, 'rand', rand_by_number)
        head = build(config).panoptic_head
        embeds = torch.randn(3, 2, NUM_QUERIES, WIDTH)
        mask_features = torch.randn(2, WIDTH, 8, 8)
        masks = [(torch.randn(n, 32, 32) < 0).byte() for n in (3, 1)]
        pairs = [[(torch.arange(n), torch.arange(n)) for n in (3, 1)]] * 3

        def mask_losses(images):
            values = head._point_values(embeds[:,
                                               images], mask_features[images],
                                        [stage[images] for stage in pairs],
                                        masks[images])
            return torch.stack([
                torch.cat(
                    head._mask_losses(logits, goals, torch.tensor([4.])))
                for logits, goals in zip(*values)
            ])

        torch.testing.assert_close(
            mask_losses(slice(0, 2)),
            mask_losses(slice(0, 1)) + mask_losses(slice(1, 2)))

    @pytest.mark.parametrize('labels', [([], []), ([0, 4], [])])
    def test_images_without_truth_keep_every_parameter_in_the_graph(
            self, config, labels):
        config.panoptic_head.loss_query_cls = dict(type='CrossEntropyLoss')
        head, losses = self.losses(
            config, *(sample('panoptic', each, SIZE) for each in labels))
        assert all(loss.isfinite().all() for loss in losses.values())
        if not any(labels):
            assert losses['loss_mask'] == losses['loss_dice'] == 0
        assert losses['loss_cls'] > 0
        for name, gradient in gradients(head, losses).items():
            assert gradient is not None, name
            assert gradient.isfinite().all(), name

    def test_more_masks_than_queries_warn_once_and_train_on(self, config):
        data = [
            sample(
                'panoptic', [0] * (NUM_QUERIES + 2),
                SIZE,
                img_path='street.png'),
            sample('panoptic', [1] * (NUM_QUERIES + 1), SIZE)
        ]
        head = build(config).panoptic_head.train()
        with pytest.warns(
                UserWarning, match='street.png has 12 masks .* 10 queries'):
            losses = head.loss(features(SIZE), data)
        assert all(loss.isfinite().all() for loss in losses.values())
        assert losses['loss_mask'] > 0
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            head.loss(features(SIZE), data)

    @pytest.mark.parametrize('value', [float('nan'), float('inf'), 1e30])
    def test_diverged_features_do_not_end_training(self, config, value):
        head = build(config).panoptic_head.train()
        x = features(SIZE)
        for level in x:
            level[0] = value
        losses = head.loss(x, list(self.data()))
        assert len(losses) == 7

    def test_unknown_task_is_named(self, config):
        with pytest.raises(ValueError, match="'depth' is unknown: choose"):
            self.losses(config, sample('depth', [0], SIZE))

    def test_sample_without_a_task_tells_what_makes_one(self, config):
        data_sample = sample('panoptic', [0], SIZE)
        delattr(data_sample, 'task')
        with pytest.raises(ValueError, match='task.*TaskSampling.*meta_keys'):
            self.losses(config, data_sample)

    @pytest.mark.parametrize('kind', HALF, ids=str)
    def test_autocast(self, config, kind):
        head = build(config).panoptic_head.train()
        x, data = features(SIZE), list(self.data())
        torch.manual_seed(0)
        expected = head.loss(x, data)
        torch.manual_seed(0)
        with torch.autocast('cpu', kind):
            losses = head.loss(x, data)
        for name, gradient in gradients(head, losses).items():
            assert gradient.isfinite().all(), name
        for name, loss in losses.items():
            assert loss.dtype == torch.float32, name
            torch.testing.assert_close(
                loss, expected[name], rtol=0.15, atol=0.1, msg=name)


def test_forward_without_a_task_takes_the_first(head):
    """Tools that count operations pass samples of the test pipeline."""
    x = features(SIZE)
    expected = head(x, samples('panoptic', 'panoptic'))
    nameless = samples('panoptic', 'panoptic')
    for data_sample in nameless:
        delattr(data_sample, 'task')
    assert torch.equal(head(x, nameless)[0][-1], expected[0][-1])


@pytest.mark.parametrize('kind', HALF, ids=str)
def test_pixel_decoder_runs_in_float32_under_autocast(head, kind):
    x = features(SIZE)
    with torch.autocast('cpu', kind):
        mask_features = head.encode([f.to(kind) for f in x]).mask_features
    assert mask_features.dtype == torch.float32
    expected = head.encode([f.to(kind).float() for f in x]).mask_features
    assert torch.equal(mask_features, expected)


def test_class_counts_and_weights_follow_the_config():
    config = tiny_config()
    config.panoptic_head.no_object_weight = 0.3
    head = build(config).panoptic_head
    assert head.class_weight == [1.] * 5 + [0.3]
    assert head.cls_embed.out_features == 6


def test_head_is_registered_and_builds_without_train_cfg():
    config = tiny_config().panoptic_head
    config.update(num_things_classes=2, num_stuff_classes=1)
    assert not hasattr(MODELS.build(config), 'assigner')


def test_initial_weights_are_the_official_ones():
    model = build()
    formation = model.panoptic_head.query_formation
    assert formation.feature_proj.bias.eq(0).all()
    bound = (3 / WIDTH)**0.5  # Kaiming-uniform with a = 1
    assert 0.9 * bound < formation.feature_proj.weight.abs().max() <= bound
    weight = formation.transformer.layers[0].ffn.layers[1].weight
    bound = (6 / sum(weight.shape))**0.5  # Xavier-uniform
    assert 0.9 * bound < weight.abs().max() <= bound
