"""Models of Hugging Face give the same outputs here, and ours do there."""
import json
import sys

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import load_checkpoint
from mmseg.utils.tokenizer import tokenize

from projects.oneformer.checkpoints import (HUGGING_FACE, build_on_meta,
                                            check_config, find_class_order,
                                            huggingface_config)
from projects.oneformer.checkpoints.names import CLASS_WEIGHT, from_ours
from projects.oneformer.checkpoints.structure import LinspaceWithValues
from projects.oneformer.tasks import TASKS, task_text
from tests.checkpoints.small_models import (BACKBONES, CLASSES, THINGS, build,
                                            small_config, with_classes)
from tests.models.test_dinat import attend_as_hugging_face

transformers = pytest.importorskip(
    'transformers', reason='transformers is not installed')
pytest.importorskip('safetensors', reason='safetensors is not installed')

SIZES = ((64, 96), (90, 75))
COLUMNS = [*THINGS, 0, 2, 3, 6, 7]


@pytest.fixture(autouse=True)
def plain_neighborhood_attention(monkeypatch):
    """Loops for the two functions of an old natten."""
    from transformers.models.dinat import modeling_dinat
    monkeypatch.setattr(modeling_dinat, 'requires_backends', lambda *_: None)
    monkeypatch.setattr(modeling_dinat.NeighborhoodAttention, 'forward',
                        attend_as_hugging_face)


def backbone_config(variant):
    """The recorded backbones in terms of Hugging Face."""
    given = dict(BACKBONES[variant])
    given.pop('type')
    given['embed_dim'] = given.pop('embed_dims')
    given['out_features'] = [f'stage{k}' for k in range(1, 5)]
    kind = dict(swin=transformers.SwinConfig, dinat=transformers.DinatConfig)
    return kind[variant](**given)


def their_model(variant, is_training=False):
    """A model of Hugging Face whose random parameters all count."""
    config = transformers.OneFormerConfig(
        backbone_config=backbone_config(variant),
        num_queries=20,
        hidden_dim=64,
        conv_dim=64,
        mask_dim=64,
        encoder_feedforward_dim=1024,
        dim_feedforward=128,
        encoder_layers=2,
        decoder_layers=5,
        dropout=0.,
        text_encoder_width=64,
        text_encoder_num_layers=2,
        text_encoder_n_ctx=4,
        id2label=dict(enumerate(CLASSES)),
        is_training=is_training)
    model = transformers.OneFormerForUniversalSegmentation(config)
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter,
                              float(parameter.dim() == 1 and 'weight' in name),
                              0.1 if parameter.dim() < 2 else 0.05)
    return model.eval()


def run_tool(root, monkeypatch, capsys, name, *arguments):
    """Run a converter as from the command line; what it printed."""
    folder = str(root / 'tools/model_converters')
    monkeypatch.setattr(sys, 'argv', [f'{name}.py', *map(str, arguments)])
    monkeypatch.syspath_prepend(folder)
    module = __import__(name)
    module.run(module.main)
    return capsys.readouterr().out


@pytest.fixture
def convert(root, monkeypatch, capsys):
    return lambda *arguments: run_tool(root, monkeypatch, capsys, *arguments)


@torch.no_grad()
def check_equal(ours, theirs):
    """Same class and mask logits for all tasks, at two image sizes."""
    for size in SIZES:
        pixels = torch.randn(1, 3, *size)
        logits, masks = ours.panoptic_head.predict(
            ours.extract_feat(pixels), [TASKS])
        for i, task in enumerate(TASKS):
            tokens = tokenize([task_text(task)], 77)
            other = theirs(pixel_values=pixels, task_inputs=tokens)
            for actual, expected in ((logits[:, i],
                                      other.class_queries_logits[...,
                                                                 COLUMNS]),
                                     (masks[:,
                                            i], other.masks_queries_logits)):
                assert expected.std() > 0.01  # queries differ
                error = (actual - expected).abs().max()
                assert error < 1e-4 * expected.abs().max()


def load(cfg, path):
    init_default_scope('mmdet')
    model = MODELS.build(cfg.model)
    load_checkpoint(model, str(path), map_location='cpu', strict=True)
    return model.eval()


@pytest.mark.parametrize('safe', [True, False])
@pytest.mark.parametrize('variant', ['swin', 'dinat'])
def test_their_models_come_here(variant, safe, tmp_path, convert):
    theirs = their_model(variant)
    theirs.save_pretrained(tmp_path / 'theirs', safe_serialization=safe)
    cfg = small_config(variant)
    cfg.dump(tmp_path / 'config.py')
    convert('huggingface_to_mmdet', tmp_path / 'config.py',
            tmp_path / 'theirs', tmp_path / 'ours.pth', '--things', *THINGS)
    ours = load(with_classes(cfg), tmp_path / 'ours.pth')
    check_equal(ours, theirs)
    meta = torch.load(tmp_path / 'ours.pth')['meta']
    assert meta['dataset_meta']['classes'][:3] == ('car', 'person', 'dog')
    assert meta['converted_from']['naming'] == 'huggingface'


@pytest.mark.parametrize('variant', ['swin', 'dinat'])
def test_our_models_go_there(variant, tmp_path, convert):
    cfg = with_classes(small_config(variant))
    ours = build(cfg)
    labels = (3, 0, 4, 5, 1, 2, 6)  # of the classes in their order
    classes = tuple(CLASSES[labels.index(label)] for label in range(7))
    meta = dict(
        classes=classes,
        thing_classes=classes[:3],
        stuff_classes=classes[3:],
        class_order=labels)
    torch.save(
        dict(meta=dict(dataset_meta=meta), state_dict=ours.state_dict()),
        tmp_path / 'ours.pth')
    cfg.dump(tmp_path / 'config.py')
    convert('mmdet_to_huggingface', tmp_path / 'config.py',
            tmp_path / 'ours.pth', tmp_path / 'theirs')
    kind = transformers.OneFormerForUniversalSegmentation
    theirs, report = kind.from_pretrained(
        tmp_path / 'theirs', output_loading_info=True)
    assert not any(report.values())
    assert theirs.config.id2label == dict(enumerate(CLASSES))
    check_equal(ours, theirs.eval())


def test_text_mapper_travels_both_ways(tmp_path, convert):
    theirs = their_model('swin', is_training=True)
    theirs.save_pretrained(tmp_path / 'theirs')
    cfg = small_config('swin')
    cfg.dump(tmp_path / 'config.py')
    convert('huggingface_to_mmdet', tmp_path / 'config.py',
            tmp_path / 'theirs', tmp_path / 'ours.pth', '--things', *THINGS)
    convert('mmdet_to_huggingface', tmp_path / 'config.py',
            tmp_path / 'ours.pth', tmp_path / 'back', '--training')
    kind = transformers.OneFormerForUniversalSegmentation
    back, report = kind.from_pretrained(
        tmp_path / 'back', output_loading_info=True)
    assert not any(report.values())
    expected = theirs.state_dict()
    assert back.state_dict().keys() == expected.keys()
    for name, tensor in back.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
    written = json.loads((tmp_path / 'back/config.json').read_text())
    assert written['is_training']


@pytest.mark.parametrize('setting, line', [
    (dict(num_attention_heads=4), 'num attention heads: 4'),
    (dict(decoder_layers=6), 'decoder layers: 6 in config.json, 5 in'),
    (dict(num_queries=30), 'num queries: 30 in config.json, 20 in'),
    (dict(backbone_config=dict(model_type='convnext')), "is a 'convnext'"),
    (dict(model_type='mask2former'), "describes a 'mask2former' model"),
])
def test_another_structure_is_named(setting, line, tmp_path, convert, capsys):
    theirs = their_model('swin')
    theirs.save_pretrained(tmp_path / 'theirs')
    path = tmp_path / 'theirs/config.json'
    path.write_text(json.dumps({**json.loads(path.read_text()), **setting}))
    cfg = small_config('swin')
    cfg.dump(tmp_path / 'config.py')
    with pytest.raises(SystemExit):
        convert('huggingface_to_mmdet', tmp_path / 'config.py',
                tmp_path / 'theirs', tmp_path / 'ours.pth', '--things',
                *THINGS)
    assert line in capsys.readouterr().err
    assert not (tmp_path / 'ours.pth').exists()


@pytest.mark.parametrize('variant', ['swin-t', 'swin-l', 'dinat-l'])
def test_full_size_models_have_all_tensors(root, variant):
    """Names and shapes of a published model, from our config alone."""
    cfg = Config.fromfile(root /
                          f'configs/_base_/models/oneformer_{variant}.py')
    cfg.model.update(num_things_classes=100, num_stuff_classes=50)
    ours = build_on_meta(cfg.model).state_dict()
    order = find_class_order(cfg, 150)
    config = transformers.OneFormerConfig.from_dict(
        huggingface_config(cfg, order, is_training=True))
    with torch.device('meta'), LinspaceWithValues():
        theirs = transformers.OneFormerForUniversalSegmentation(config)
    expected = {k: tuple(v.shape) for k, v in theirs.state_dict().items()}
    actual = {
        k: tuple(v.shape)
        for k, v in from_ours(ours, HUGGING_FACE).items()
    }
    actual[CLASS_WEIGHT] = (151, )
    assert actual == expected
    check_config(config.to_dict(), cfg, variant)
