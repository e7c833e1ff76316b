"""Every config loads and builds, and an ablation lacks what it takes away."""
from pathlib import Path
from typing import Dict

import pytest
from mmdet.registry import DATASETS, METRICS, TRANSFORMS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from projects.oneformer.apis.checks import check_evaluators
from projects.oneformer.apis.config import complete_config, named_categories
from projects.oneformer.checkpoints import build_on_meta

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
FAMILIES = dict(
    shapes='oneformer_r18_1xb8-1200_shapes-128x128',
    cityscapes='oneformer_swin-l-p4-w12-384-in22k_8xb2-90k_'
    'cityscapes-512x1024')
#: Those of MMSegmentation are tested with what reads them.
EVERY = sorted(
    str(path)
    for path in (p.relative_to(CONFIGS) for p in CONFIGS.rglob('*.py'))
    if not {'_base_', 'mmseg'} & set(path.parts))


@pytest.fixture(autouse=True)
def mmdet_scope():
    init_default_scope('mmdet')


def load(name: str) -> Config:
    cfg = Config.fromfile(CONFIGS / name)
    if named_categories(cfg) is None:
        # they come from an annotation
        cfg.model.setdefault('num_things_classes', 3)
        cfg.model.setdefault('num_stuff_classes', 2)
    return complete_config(cfg)


def ablation(family: str, change: str) -> str:
    return f'{family}/ablations/{FAMILIES[family]}_{change}.py'


def parameters_of(name: str) -> Dict[str, tuple]:
    model = build_on_meta(load(name).model)
    return {key: tuple(value.shape) for key, value in model.named_parameters()}


def text_template_of(name: str) -> str:
    pipeline = load(name).train_dataloader.dataset.pipeline
    sampling, = [t for t in pipeline if t.type == 'TaskSampling']
    return TRANSFORMS.build(sampling).text_template


@pytest.mark.parametrize('name', EVERY)
def test_config_builds(name):
    """The files it names need not be there, the arguments must be right."""
    cfg = load(name)
    model = build_on_meta(cfg.model)
    assert model.num_classes == cfg.model.num_things_classes + \
        cfg.model.num_stuff_classes
    for split in ('train', 'val', 'test'):
        dataset = cfg[f'{split}_dataloader'].dataset
        DATASETS.build(dict(dataset, lazy_init=True))
        assert dataset.get('test_mode', False) == (split != 'train')
    for split in ('val', 'test'):
        check_evaluators(cfg, split)
        metrics = [METRICS.build(m) for m in cfg[f'{split}_evaluator']]
        assert {m.task for m in metrics} == set(cfg.model.test_cfg.tasks)


@pytest.mark.parametrize('name', EVERY)
def test_metrics_get_what_they_read(name):
    """What a data set says of a map must pass the test pipeline."""
    cfg = load(name)
    for split in ('val', 'test'):
        dataset = cfg[f'{split}_dataloader'].dataset
        packed = dataset.pipeline[-1]
        assert packed.type == 'PackDetInputs'
        if 'seg' in dataset.data_prefix:
            assert {'seg_map_path', 'segments_info'} <= set(packed.meta_keys)
        if 'sem' in dataset.data_prefix:
            assert 'semantic_map_path' in packed.meta_keys
        assert {'img_id', 'ori_shape'} <= set(packed.meta_keys)


@pytest.mark.parametrize('family', FAMILIES)
def test_ablations_differ_from_the_full_model_in_what_they_take_away(family):
    full = parameters_of(f'{family}/{FAMILIES[family]}.py')

    def change(name):
        """Parameters taken away and added, by their part of the head."""
        other = parameters_of(ablation(family, name))
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


@pytest.mark.parametrize('family', FAMILIES)
def test_ablations_without_other_parameters(family):
    full = f'{family}/{FAMILIES[family]}.py'
    assert text_template_of(full) == 'a photo with a {cls}'
    assert text_template_of(ablation(family, 'template-cls')) == '{cls}'
    assert text_template_of(ablation(family, 'template-cls-type')) == \
        'a photo with a {cls} {type}'
    head = load(ablation(family, 'zero-queries')).model.panoptic_head
    assert head.query_formation.initial_queries == 'zero'


@pytest.mark.parametrize('family', FAMILIES)
def test_no_text_context_takes_all_texts_from_the_list(family):
    head = build_on_meta(load(ablation(family,
                                       'no-text-context')).model).panoptic_head
    assert head.text_mapper.num_texts == head.num_queries


@pytest.mark.parametrize('family', FAMILIES)
def test_a_query_loss_replaces_the_contrastive_loss(family):
    head = load(ablation(family, 'query-cls')).model.panoptic_head
    assert head.loss_query_cls.loss_weight == 0.5


@pytest.mark.parametrize('name', [
    'shapes/ablations/mask2former-joint_r18_1xb8-1200_shapes-128x128.py',
    'ade20k/mask2former-joint_swin-l-p4-w12-384-in22k_8xb2-160k_'
    'ade20k-640x640.py'
])
def test_joint_mask2former_has_the_parameters_of_mask2former(name):
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
