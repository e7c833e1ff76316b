"""Every config loads and builds, and an ablation lacks what it takes away."""
from pathlib import Path

import pytest
from mmdet.registry import METRICS, TRANSFORMS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from projects.oneformer.checkpoints import build_on_meta

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
SHAPES = 'shapes/oneformer_r18_1xb8-1200_shapes-128x128.py'
ABLATION = 'shapes/ablations/oneformer_r18_1xb8-1200_shapes-128x128_{}.py'
EVERY = sorted(
    str(path.relative_to(CONFIGS)) for path in CONFIGS.rglob('*.py')
    if '_base_' not in path.parts)


@pytest.fixture(autouse=True)
def mmdet_scope():
    init_default_scope('mmdet')


def load(name: str) -> Config:
    cfg = Config.fromfile(CONFIGS / name)
    # where they are not stated, they come from an annotation
    cfg.model.setdefault('num_things_classes', 3)
    cfg.model.setdefault('num_stuff_classes', 2)
    return cfg


def parameters_of(name: str) -> dict:
    model = build_on_meta(load(name).model)
    return {key: tuple(value.shape) for key, value in model.named_parameters()}


def text_template_of(name: str) -> str:
    pipeline = load(name).train_dataloader.dataset.pipeline
    sampling, = [t for t in pipeline if t.type == 'TaskSampling']
    return TRANSFORMS.build(sampling).text_template


@pytest.mark.parametrize('name', EVERY)
def test_config_builds(name):
    cfg = load(name)
    model = build_on_meta(cfg.model)
    assert model.num_classes == cfg.model.num_things_classes + \
        cfg.model.num_stuff_classes
    for loader in (cfg.train_dataloader, cfg.val_dataloader,
                   cfg.test_dataloader):
        for transform in loader.dataset.pipeline:
            TRANSFORMS.build(transform)
    tasks = {METRICS.build(metric).task for metric in cfg.test_evaluator}
    assert tasks == set(cfg.model.test_cfg.tasks)


def test_ablations_differ_from_the_full_model_in_what_they_take_away():
    full = parameters_of(SHAPES)

    def change(name):
        """Parameters taken away and added, by their part of the head."""
        other = parameters_of(ABLATION.format(name))
        parts = [{
            '.'.join(key.split('.')[1:3])
            for key in a if a[key] != b.get(key)
        } for a, b in ((full, other), (other, full))]
        return tuple(parts)

    texts = {'text_mapper.' + part for part in ('encoder', 'projector')}
    contrast = texts | {'text_mapper.context', 'loss_contrastive.logit_scale'}
    assert change('no-task-token') == ({'query_formation.task_mlp'},
                                       {'query_formation.query_feat'})
    assert change('zero-queries') == (set(), set())
    assert change('no-text-context') == ({'text_mapper.context'}, set())
    assert change('no-contrastive') == (contrast, set())
    assert change('query-cls') == (contrast, {
        'query_cls_embed.weight', 'query_cls_embed.bias'
    })


def test_templates():
    assert text_template_of(SHAPES) == 'a photo with a {cls}'
    assert text_template_of(ABLATION.format('template-cls')) == '{cls}'
    assert text_template_of(ABLATION.format('template-cls-type')) == \
        'a photo with a {cls} {type}'


def test_no_text_context_takes_all_texts_from_the_list():
    head = load(ABLATION.format('no-text-context')).model.panoptic_head
    assert head.text_mapper.num_texts == head.num_queries


def test_joint_mask2former_has_the_parameters_of_mask2former():
    name = SHAPES.replace('oneformer',
                          'mask2former-joint').replace('shapes/',
                                                       'shapes/ablations/', 1)
    cfg = load(name)
    ours = build_on_meta(cfg.model).panoptic_head.state_dict()
    ours['query_feat.weight'] = ours.pop('query_formation.query_feat.weight')
    head = cfg.model.panoptic_head
    for key in ('query_formation', 'text_mapper', 'loss_contrastive'):
        head.pop(key)
    classes = cfg.model.num_things_classes + cfg.model.num_stuff_classes
    head.update(
        type='Mask2FormerHead',
        num_things_classes=cfg.model.num_things_classes,
        num_stuff_classes=cfg.model.num_stuff_classes)
    head.loss_cls.class_weight = [1.] * classes + [0.1]
    theirs = build_on_meta(head).state_dict()
    theirs = {key: value.shape for key, value in theirs.items()}
    assert {key: value.shape for key, value in ours.items()} == theirs
