"""The name rules cover every tensor, once, and lead back where they began."""
import json
import re
from pathlib import Path

import pytest
import torch
from mmdet.models.backbones.swin import WindowMSA
from mmdet.models.layers import PatchMerging
from mmengine.config import Config

from projects.oneformer.checkpoints import model_shapes
from projects.oneformer.checkpoints.names import (CLASS_WEIGHT, HUGGING_FACE,
                                                  OFFICIAL, OURS, TABLE,
                                                  UnknownNames, _patterns,
                                                  from_ours, to_ours,
                                                  window_index)
from projects.oneformer.checkpoints.structure import build_on_meta
from tests.checkpoints import official_layout
from tests.checkpoints.small_models import VARIANTS, small_config, with_classes

#: Parameters in millions without the text mapper, for 150 classes.
PARAMETERS = {
    'r50': 47.3,
    'swin-t': 50.7,
    'swin-l': 218.81,
    'convnext-l': 219.84,
    'convnext-xl': 372,
    'dinat-l': 223
}


def random_tensors(layout):
    """Random values; the index of relative positions is not random."""
    tensors = {name: torch.randn(shape) for name, shape in layout.items()}
    for name in tensors:
        if name.endswith('relative_position_index'):
            tensors[name] = window_index(tensors[name])
    return tensors


def shapes(tensors):
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


@pytest.mark.parametrize('variant', VARIANTS)
def test_layout_is_the_recorded_one(shared, variant):
    """So that the layouts of this folder may stand for the record."""
    path = shared / 'reference/official' / f'{variant}.json'
    recorded = {
        name: tuple(shape)
        for name, shape in json.loads(path.read_text()).items()
        if isinstance(shape, list)
    }
    assert official_layout.small(variant) == recorded


@pytest.mark.parametrize('variant', VARIANTS)
def test_official_tensors_fit_and_return(variant):
    """Official to ours and back is bit-identical."""
    official = random_tensors(official_layout.small(variant))
    ours = to_ours(official, OFFICIAL)
    cfg = with_classes(small_config(variant))
    assert shapes(ours) == model_shapes(cfg)
    back = from_ours(ours, OFFICIAL)
    assert back.keys() == official.keys() - {CLASS_WEIGHT}
    assert all(torch.equal(back[name], official[name]) for name in back)


@pytest.mark.parametrize('variant', ['swin', 'dinat'])
def test_tensors_of_hugging_face_return(variant):
    """So is the way by Hugging Face, whose attention is in three parts."""
    official = random_tensors(official_layout.small(variant))
    ours = to_ours(official, OFFICIAL)
    theirs = from_ours(ours, HUGGING_FACE)
    parts = [
        name for name in theirs if re.search('(query|q_proj).weight', name)
    ]
    layers = dict(swin=8, dinat=6)[variant] + 4
    assert len(parts) == layers
    assert len(theirs) == len(ours) + 4 * layers
    back = to_ours(theirs, HUGGING_FACE)
    assert back.keys() == ours.keys()
    assert all(torch.equal(back[name], ours[name]) for name in back)


@pytest.mark.parametrize('naming', [OURS, OFFICIAL, HUGGING_FACE])
def test_no_name_has_two_rules(naming):
    names = set()
    for variant in VARIANTS:
        if naming == HUGGING_FACE and variant in ('r50', 'convnext'):
            continue
        tensors = random_tensors(official_layout.small(variant))
        if naming != OFFICIAL:
            tensors = to_ours(tensors, OFFICIAL)
        if naming == HUGGING_FACE:
            tensors = from_ours(tensors, HUGGING_FACE)
        names |= tensors.keys() - {CLASS_WEIGHT}
    for name in names:
        hits = [p for p, _, _ in _patterns(naming) if p.fullmatch(name)]
        assert len(hits) == 1, (name, hits)


def test_all_fields_stand_on_every_side():
    """Else a way back could not name its tensor."""
    for row in TABLE:
        fields = sorted(re.findall(r'\{\w\}', row.ours))
        for names in (row.official, row.huggingface):
            for name in (names, ) if isinstance(names, str) else names or ():
                assert sorted(re.findall(r'\{\w\}', name)) == fields, row


def full_size_model(root, config, things, stuff):
    cfg = Config.fromfile(root /
                          f'configs/_base_/models/oneformer_{config}.py')
    cfg.model.update(num_things_classes=things, num_stuff_classes=stuff)
    return build_on_meta(cfg.model)


def parameters(model):
    """Millions of parameters: without, and of, the text mapper."""
    text = without = 0
    for name, parameter in model.named_parameters():
        if '.text_mapper.' in name or name.endswith('logit_scale'):
            text += parameter.numel() / 1e6
        else:
            without += parameter.numel() / 1e6
    return without, text


@pytest.mark.parametrize('variant', PARAMETERS)
def test_full_size_models_have_the_published_parameters(root, variant):
    without, text = parameters(full_size_model(root, variant, 100, 50))
    assert round(text, 2) == 17.54
    printed = PARAMETERS[variant]
    digits = len(str(printed).partition('.')[2])
    assert round(without, digits) == printed


#: Millions of parameters as published.
PRINTED = {
    'swin-l': 219,
    'convnext-l': 220,
    'convnext-xl': 372,
    'dinat-l': 223
}
CONFIGS = Path(__file__).parents[2] / 'configs'
ROWS = [
    str(path.relative_to(CONFIGS))
    for data in ('ade20k', 'cityscapes', 'coco', 'mapillary')
    for path in sorted((CONFIGS / data).glob('oneformer_*.py'))
]


@pytest.mark.parametrize('row', ROWS)
def test_published_rows_have_all_official_tensors(row):
    """Every official tensor has its place, of its shape; none is left."""
    cfg = Config.fromfile(CONFIGS / row)
    model = build_on_meta(cfg.model)
    ours = model.state_dict()
    variant = re.search(r'oneformer_(r50|\w+-(?:t|xl|l))[-_]', row)[1]
    classes = cfg.model.num_things_classes + cfg.model.num_stuff_classes
    layout = official_layout.full(
        variant,
        cfg.model.panoptic_head.num_queries,
        classes,
        kernel=7 if '-k7-' in row else 11)
    converted = shapes(from_ours(ours, OFFICIAL))
    converted[CLASS_WEIGHT] = (classes + 1, )
    assert converted == layout
    with torch.device('meta'):
        official = {n: torch.empty(shape) for n, shape in layout.items()}
    assert shapes(to_ours(official, OFFICIAL)) == shapes(ours)
    if variant in PRINTED:
        assert round(parameters(model)[0]) == PRINTED[variant]


def test_patch_merging_takes_the_same_neighbours():
    """Official columns of (x0, x1, x2, x3) against MMDetection's unfold."""
    features = torch.randn(1, 6, 8, 3)  # H, W, C
    official = torch.cat([
        features[:, 0::2, 0::2], features[:, 1::2, 0::2],
        features[:, 0::2, 1::2], features[:, 1::2, 1::2]
    ], -1)
    weight, scale = torch.randn(6, 12), torch.randn(12)
    normed = torch.nn.functional.layer_norm(official, (12, ), scale)
    expected = (normed @ weight.T).flatten(1, 2)
    ours = to_ours(
        {
            'backbone.layers.0.downsample.reduction.weight': weight,
            'backbone.layers.0.downsample.norm.weight': scale
        }, OFFICIAL)
    merging = PatchMerging(3, 6)
    merging.reduction.weight.data, merging.norm.weight.data = (
        ours[f'backbone.stages.0.downsample.{part}.weight']
        for part in ('reduction', 'norm'))
    actual, size = merging(features.flatten(1, 2), (6, 8))
    assert size == (3, 4)
    torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize('size', [5, 7, 12])
def test_window_index_is_that_of_the_backbone(size):
    attention = WindowMSA(8, 2, (size, size))
    expected = attention.relative_position_index
    assert torch.equal(window_index(torch.zeros_like(expected)), expected)


def test_names_without_a_rule_are_listed():
    tensors = random_tensors(official_layout.small('dinat'))
    tensors['sem_seg_head.predictor.query_feat.weight'] = torch.zeros(2)
    tensors['head.bias'] = torch.zeros(2)
    with pytest.raises(UnknownNames) as error:
        to_ours(tensors, OFFICIAL)
    assert error.value.names == [
        'head.bias', 'sem_seg_head.predictor.query_feat.weight'
    ]


def test_parts_of_a_tensor_must_be_complete():
    ours = to_ours(random_tensors(official_layout.small('swin')), OFFICIAL)
    theirs = from_ours(ours, HUGGING_FACE)
    prefix = 'model.transformer_module.decoder.layers.2.self_attn.self_attn.'
    del theirs[prefix + 'k_proj.bias']
    with pytest.raises(UnknownNames) as error:
        to_ours(theirs, HUGGING_FACE)
    assert error.value.names == [
        prefix + 'q_proj.bias', prefix + 'v_proj.bias'
    ]


def test_backbones_that_hugging_face_lacks_are_listed():
    ours = to_ours(random_tensors(official_layout.small('convnext')), OFFICIAL)
    with pytest.raises(UnknownNames) as error:
        from_ours(ours, HUGGING_FACE)
    assert 'backbone.stages.0.0.gamma' in error.value.names
    assert all(name.startswith('backbone.') for name in error.value.names)
