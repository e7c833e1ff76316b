"""What can be exported is, and runs elsewhere; what cannot is said."""
import json

import pytest
import torch

from projects.oneformer.export import (DESCRIPTION, ExportError,
                                       check_exportable, export_model)
from tests.checkpoints import small_models
from tests.models import tiny


def small(variant):
    cfg = small_models.with_classes(small_models.small_config(variant))
    cfg.model.panoptic_head.pixel_decoder.encoder.num_layers = 1
    cfg.model.panoptic_head.transformer_decoder.num_layers = 3
    return small_models.build(cfg)


def plain():
    """A model whose queries know no task."""
    config = tiny.tiny_config()
    config.panoptic_head.query_formation = dict(type='LearntQueries')
    return tiny.build(config)


@pytest.mark.parametrize('make, name, shape, message', [
    (tiny.build, 'model.pth', None, r'must end in \.onnx or \.pt2'),
    (tiny.build, 'a.onnx', (64, 70), '64 x 70: expected multiples of 32'),
    (tiny.build, 'a.onnx', (0, 64), '0 x 64: expected multiples of 32'),
    (lambda: small('swin'), 'a.onnx', None, 'SwinTransformer is exported for'),
    (lambda: small('dinat'), 'a.pt2', None, 'DiNAT is exported for one image'),
    (plain, 'a.onnx', None, 'know no task'),
])
def test_what_cannot_be_exported(make, name, shape, message):
    with pytest.raises(ExportError, match=message):
        check_exportable(make(), name, shape)


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None
                        if name == 'onnxscript' else name)
    check_exportable(tiny.build(), 'a.pt2', None)
    with pytest.raises(ExportError, match='pip install onnxscript'):
        check_exportable(tiny.build(), 'a.onnx', None)


@pytest.mark.slow
@pytest.mark.parametrize('variant, shape, suffix', [
    ('r50', None, '.onnx'),
    ('convnext', None, '.onnx'),
    ('swin', (96, 160), '.onnx'),
    ('dinat', (96, 160), '.onnx'),
    ('r50', None, '.pt2'),
    ('swin', (96, 160), '.pt2'),
])
def test_exported_models_agree_with_the_original(tmp_path, variant, shape,
                                                 suffix):
    """Under three tasks, and at two sizes where any may be given."""
    onnx = pytest.importorskip('onnx')
    model = small(variant)
    path = tmp_path / f'model{suffix}'
    agreements = export_model(model, dict(hello=1), path, shape)
    assert len(agreements) == (1 if shape else 2)
    assert list(tmp_path.iterdir()) == [path]
    for agreement in agreements:
        assert max(agreement[1:3]) < 1e-4
        assert agreement.bits < 1e-4
    if suffix == '.onnx':
        file = onnx.load(path)
        onnx.checker.check_model(file)
        said = {entry.key: entry.value for entry in file.metadata_props}
        assert json.loads(said[DESCRIPTION]) == dict(hello=1)
        sizes = [
            d.dim_param or d.dim_value
            for d in file.graph.input[0].type.tensor_type.shape.dim
        ]
        assert sizes == [1, 3, *(shape or ('height', 'width'))]
        assert file.graph.input[1].type.tensor_type.shape.dim[
            0].dim_param == 'tasks'
    else:
        extra = {DESCRIPTION: ''}
        program = torch.export.load(path, extra_files=extra)
        assert json.loads(extra[DESCRIPTION]) == dict(hello=1)
        tokens = model.panoptic_head.query_formation.task_mlp.tokens
        image = torch.rand(1, 3, *(shape or (128, 64))) * 255
        for number in (1, 2):
            logits, _ = program.module()(image, tokens[:number])
            assert logits.shape == (number, 20, 8)


def test_nothing_is_left_of_a_model_that_differs(tmp_path, monkeypatch):
    module = 'projects.oneformer.export.writing.'
    program = torch.export.export(torch.nn.ReLU(), (torch.zeros(1), ))
    monkeypatch.setattr(module + 'trace', lambda network, shape: program)

    def compare(model, runtime, size):
        assert [path.name for path in tmp_path.rglob('*.pt2')] == ['a.pt2']
        raise ExportError('differs')

    monkeypatch.setattr(module + 'compare', compare)
    with pytest.raises(ExportError, match='differs'):
        export_model(tiny.build(), {}, tmp_path / 'a.pt2', (64, 64))
    assert not list(tmp_path.iterdir())
