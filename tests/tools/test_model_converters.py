"""The converters' command lines: what they write, and what they refuse."""
import re
import sys

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import load_checkpoint

from projects.oneformer.checkpoints.names import (CLASS_WEIGHT, HUGGING_FACE,
                                                  OFFICIAL, from_ours, to_ours)
from tests.checkpoints import official_layout
from tests.checkpoints.small_models import (CLASSES, OFFICIAL_CLASS, THINGS,
                                            small_config, with_classes)
from tests.checkpoints.test_names import random_tensors
from tests.helpers import write_panoptic_dataset

HEAD = 'sem_seg_head.predictor.'


@pytest.fixture
def tool(root, monkeypatch, capsys):
    """Run a converter; what it printed, or its error where it failed."""
    monkeypatch.syspath_prepend(str(root / 'tools/model_converters'))

    def run(name, *arguments):
        monkeypatch.setattr(sys, 'argv', [f'{name}.py', *map(str, arguments)])
        module = __import__(name)
        try:
            module.run(module.main)
        except SystemExit as end:
            assert end.code == 2
            return capsys.readouterr().err
        return capsys.readouterr().out

    return run


@pytest.fixture
def workplace(tmp_path):
    """A config and an official checkpoint that fits it."""
    small_config('swin').dump(tmp_path / 'config.py')
    tensors = random_tensors(official_layout.small('swin'))
    tensors[CLASS_WEIGHT] = torch.tensor([1.] * 7 + [0.1])
    torch.save(dict(model=tensors, iteration=3), tmp_path / 'official.pth')
    return tmp_path


def convert(tool, folder, *arguments, tool_name='official_to_mmdet'):
    return tool(tool_name, folder / 'config.py', folder / 'official.pth',
                folder / 'ours.pth', *arguments)


def change(folder, **tensors):
    """Replace tensors of the official checkpoint, None removing them."""
    path = folder / 'official.pth'
    content = torch.load(path)
    content['model'].update(tensors)
    content['model'] = {
        name: tensor
        for name, tensor in content['model'].items() if tensor is not None
    }
    torch.save(content, path)


def written(folder):
    return torch.load(folder / 'ours.pth')


def test_official_checkpoints_come_here(tool, workplace):
    printed = convert(tool, workplace, '--things', *THINGS)
    assert 'class order: --things (3 things, 4 stuff)' in printed
    checkpoint = written(workplace)
    origin = checkpoint['meta']['converted_from']
    assert origin['file'] == 'official.pth' and len(origin['sha256']) == 64
    official = torch.load(workplace / 'official.pth')['model']
    rows = checkpoint['state_dict']['panoptic_head.cls_embed.weight']
    expected = official[HEAD + 'class_embed.weight'][[*OFFICIAL_CLASS, 7]]
    assert torch.equal(rows, expected)
    init_default_scope('mmdet')
    model = MODELS.build(with_classes(small_config('swin')).model)
    load_checkpoint(model, str(workplace / 'ours.pth'), strict=True)
    assert sorted(path.name for path in workplace.iterdir()) == [
        'config.py', 'official.pth', 'ours.pth'
    ]


@pytest.mark.parametrize('suffix', ['.pth', '.pkl'])
def test_and_return_bit_identical(tool, workplace, suffix):
    convert(tool, workplace, '--things', *THINGS)
    tool('mmdet_to_official', workplace / 'config.py', workplace / 'ours.pth',
         workplace / f'back{suffix}')
    # the class order is known from the checkpoint; once more from a pickle
    tool('official_to_mmdet', workplace / 'config.py',
         workplace / f'back{suffix}', workplace / 'again.pth', '--things',
         *THINGS)
    tool('mmdet_to_official', workplace / 'config.py', workplace / 'again.pth',
         workplace / 'back.pth')
    back = torch.load(workplace / 'back.pth')['model']
    official = torch.load(workplace / 'official.pth')['model']
    assert back.keys() == official.keys()
    assert all(torch.equal(back[name], official[name]) for name in official)


def test_inference_only_checkpoints_have_no_text_mapper(tool, workplace):
    text = [
        name for name in official_layout.small('swin')
        if name.startswith(('text_', 'prompt_ctx', 'criterion.'))
    ]
    change(workplace, **dict.fromkeys(text))
    convert(tool, workplace, '--things', *THINGS)
    assert not any('text' in name for name in written(workplace)['state_dict'])
    tool('mmdet_to_official', workplace / 'config.py', workplace / 'ours.pth',
         workplace / 'back.pth')
    back = torch.load(workplace / 'back.pth')['model']
    official = torch.load(workplace / 'official.pth')['model']
    assert back.keys() - {CLASS_WEIGHT} == official.keys()


def test_tensors_that_hold_nothing_learnt_may_be_missing(tool, workplace):
    index = [
        name for name in official_layout.small('swin')
        if name.endswith('relative_position_index')
    ]
    change(workplace, **dict.fromkeys(index))
    convert(tool, workplace, '--things', *THINGS)
    state = written(workplace)['state_dict']
    assert sum(name.endswith('_index') for name in state) == len(index)


def test_frozen_batch_norm_has_no_counters(tool, workplace):
    small_config('r50').dump(workplace / 'config.py')
    tensors = random_tensors(official_layout.small('r50'))
    torch.save({
        k: v
        for k, v in tensors.items() if not k.endswith('_tracked')
    }, workplace / 'official.pth')
    convert(tool, workplace, '--things', *THINGS)
    state = written(workplace)['state_dict']
    assert state['backbone.bn1.num_batches_tracked'] == 0


def test_all_that_does_not_fit_is_listed(tool, workplace):
    change(
        workplace, **{
            HEAD + 'decoder_norm.bias': None,
            HEAD + 'mask_embed.layers.0.weight': torch.zeros(64, 60),
            HEAD + 'level_embed.weight': torch.zeros(4, 64)
        })
    error = convert(tool, workplace, '--things', *THINGS)
    lines = [line.strip() for line in error.splitlines()]
    assert lines[1:] == [
        'missing:',
        'panoptic_head.transformer_decoder.post_norm.bias',
        'shape:',
        'panoptic_head.level_embed.weight: [4, 64] instead of [3, 64]',
        'panoptic_head.mask_embed.0.weight: [64, 60] instead of [64, 64]',
    ]
    assert not (workplace / 'ours.pth').exists()


def test_unmatched_names_are_listed(tool, workplace):
    change(
        workplace, **{
            'sem_seg_head.predictor.query_feat.weight': torch.zeros(2),
            'pixel_mean': torch.zeros(3)
        })
    error = convert(tool, workplace, '--things', *THINGS)
    assert 'pixel_mean' in error and 'query_feat.weight' in error
    assert not (workplace / 'ours.pth').exists()


@pytest.mark.parametrize('setting, line', [
    ('panoptic_head.num_queries=30',
     'queries: 20 in the file, 30 in the config'),
    ('num_things_classes=4',
     'classes: 7 in the file, 8 in the config'),
    ('backbone.depths=[2,2,4,2]',
     'backbone depths: [2, 2, 2, 2] in the file, [2, 2, 4, 2] in the config'),
    ('panoptic_head.transformer_decoder.num_layers=9',
     'mask decoder layers: 4 in the file, 9 in the config'),
    ('panoptic_head.text_mapper.width=128',
     'text width: 64 in the file, 128 in the config'),
])  # yapf: disable
def test_sizes_that_do_not_fit_are_named(tool, workplace, setting, line):
    cfg = Config.fromfile(workplace / 'config.py')
    cfg.model.num_stuff_classes = 4
    cfg.dump(workplace / 'config.py')
    error = convert(
        tool, workplace, '--things', *THINGS, '--cfg-options',
        f'model.{setting}', *[
            'model.num_things_classes=3'
            for _ in range('num_things' not in setting)
        ])
    assert line in error
    assert not (workplace / 'ours.pth').exists()


@pytest.mark.parametrize('variant, line', [
    ('r50', 'backbone: Swin in the file, ResNet in the config'),
    ('convnext', 'backbone widths: [24, 48, 96, 192] in the file, '
     '[16, 32, 48, 64] in the config'),
])
def test_another_backbone_is_named(tool, workplace, variant, line):
    small_config(variant).dump(workplace / 'config.py')
    assert line in convert(tool, workplace, '--things', *THINGS)


def test_other_models_are_refused(tool, workplace):
    path = workplace / 'official.pth'
    official = torch.load(path)['model']
    convert(tool, workplace, '--things', *THINGS)
    ours = written(workplace)
    (workplace / 'ours.pth').unlink()
    mask2former = {
        name: tensor
        for name, tensor in official.items()
        if not name.startswith(('task_mlp', 'text_', HEAD + 'class_tr'))
    }
    for content, message in ((dict(state_dict=ours['state_dict']),
                              "expected an entry 'model'"),
                             (ours['state_dict'],
                              'tensor names of this project'),
                             (dict(model=mask2former),
                              'is no OneFormer of the official code'),
                             (dict(conv1=torch.zeros(1)),
                              'is no OneFormer of the official code'),
                             ([1, 2], 'holds no tensors')):
        torch.save(content, path)
        assert message in convert(tool, workplace, '--things', *THINGS)
    assert not (workplace / 'ours.pth').exists()


def test_half_a_file_is_refused(tool, workplace):
    path = workplace / 'official.pth'
    path.write_bytes(path.read_bytes()[:100000])
    (workplace / 'ours.pth').write_text('what was there')
    error = convert(tool, workplace, '--things', *THINGS)
    assert 'official.pth cannot be read; it is cut short' in error
    assert (workplace / 'ours.pth').read_text() == 'what was there'


def test_unknown_class_orders_are_not_guessed(tool, workplace):
    assert 'name their indices with --things' in convert(tool, workplace)
    assert 'of the 7 classes' in convert(tool, workplace, '--things', '7')


def test_configs_must_exist_and_be_of_oneformer(tool, workplace):
    (workplace / 'config.py').write_text("model = dict(type='MaskFormer')")
    assert "expected model.type 'OneFormer'" in convert(tool, workplace)
    (workplace / 'config.py').unlink()
    assert 'config.py does not exist' in convert(tool, workplace)


def test_a_model_folder_needs_its_config(tool, workplace):
    folder = workplace / 'folder'
    folder.mkdir()
    error = tool('huggingface_to_mmdet', workplace / 'config.py', folder,
                 workplace / 'ours.pth')
    assert 'has no config.json' in error


def test_backbones_that_hugging_face_lacks_are_refused(tool, workplace):
    small_config('convnext').dump(workplace / 'config.py')
    torch.save(
        random_tensors(official_layout.small('convnext')),
        workplace / 'official.pth')
    convert(tool, workplace, '--things', *THINGS)
    error = tool('mmdet_to_huggingface', workplace / 'config.py',
                 workplace / 'ours.pth', workplace / 'theirs')
    assert 'OneFormer of Hugging Face' in error and 'gamma' in error
    assert not (workplace / 'theirs').exists()


def test_class_names_come_from_the_annotation(tool, workplace):
    categories = [
        dict(id=i + 1, name=name, isthing=int(i in THINGS))
        for i, name in enumerate(CLASSES)
    ]
    cfg = small_config('swin')
    cfg.train_dataloader = dict(
        dataset=write_panoptic_dataset(workplace, categories=categories))
    cfg.dump(workplace / 'config.py')
    printed = convert(tool, workplace)
    assert 'panoptic_train.json (3 things, 4 stuff)' in printed
    meta = written(workplace)['meta']['dataset_meta']
    assert meta['classes'] == tuple(CLASSES[i] for i in OFFICIAL_CLASS)


@pytest.mark.parametrize('variant, naming', [
    ('swin', OFFICIAL),
    ('convnext', OFFICIAL),
    ('dinat', OFFICIAL),
    ('swin', HUGGING_FACE),
    ('dinat', HUGGING_FACE),
])
def test_classifiers_become_backbones(tool, workplace, variant, naming):
    """As ``init_cfg`` takes them; their own head and norm are left out."""
    small_config(variant).dump(workplace / 'config.py')
    ours, classifier = imagenet_weights(variant, naming)
    path = workplace / 'imagenet.pth'
    torch.save(classifier, path)
    tool('backbone_to_mmdet', workplace / 'config.py', path,
         workplace / 'ours.pth')
    cfg = small_config(variant).model.backbone
    cfg.init_cfg = dict(
        type='Pretrained',
        checkpoint=str(workplace / 'ours.pth'),
        prefix='backbone.')
    init_default_scope('mmdet')
    backbone = MODELS.build(cfg)
    backbone.init_weights()
    for name, tensor in backbone.state_dict().items():
        if not re.match(r'norm\d', name):
            assert torch.equal(tensor, ours[f'backbone.{name}']), name
    del classifier[next(iter(classifier))]
    torch.save(classifier, path)
    (workplace / 'ours.pth').unlink()
    error = tool('backbone_to_mmdet', workplace / 'config.py', path,
                 workplace / 'ours.pth')
    assert 'missing:\n  backbone.' in error
    assert not (workplace / 'ours.pth').exists()


def imagenet_weights(variant, naming):
    """A small model, and its backbone as a published classifier."""
    ours = to_ours(random_tensors(official_layout.small(variant)), OFFICIAL)
    backbone = {
        name: tensor
        for name, tensor in ours.items()
        if re.match(r'backbone\.(?!norm\d)', name)
    }
    names = from_ours(backbone, naming)
    prefix, norm, head = ('', 'norm', 'head') if naming == OFFICIAL else (
        f'{variant}.', f'{variant}.layernorm', 'classifier')
    start = dict(
        official='backbone.',
        huggingface='model.pixel_level_module.encoder.')[naming]
    classifier = {
        prefix + name[len(start):]: tensor
        for name, tensor in names.items()
    }
    classifier[f'{norm}.weight'] = torch.zeros(9)
    classifier[f'{head}.weight'] = torch.zeros(9, 9)
    return ours, classifier
