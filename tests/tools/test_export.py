"""The command line of export.py, and its file without torch."""
import runpy
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from tests.models import tiny

META = dict(
    classes=tiny.CLASSES,
    thing_classes=tiny.CLASSES[:3],
    stuff_classes=tiny.CLASSES[3:])


@pytest.fixture
def workplace(tmp_path):
    """A config and a checkpoint."""
    model = tiny.build()
    Config(dict(model=tiny.tiny_config())).dump(tmp_path / 'config.py')
    torch.save(
        dict(state_dict=model.state_dict(), meta=dict(dataset_meta=META)),
        tmp_path / 'model.pth')
    return tmp_path


@pytest.fixture
def export(root, monkeypatch, capsys):
    """Run the tool; what it printed, or its error where it failed."""

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['export.py', *map(str, arguments)])
        try:
            runpy.run_path(str(root / 'tools/export.py'), run_name='__main__')
        except SystemExit as end:
            assert end.code == 2
            return capsys.readouterr().err
        return capsys.readouterr().out

    return run


def test_errors_are_one_line(export, workplace):
    files = (workplace / 'config.py', workplace / 'model.pth')
    for arguments, message in (
        ((workplace / 'none.py', files[1], 'a.onnx'),
         'none.py is neither a config file'),
        ((files[0], workplace / 'none.pth', 'a.onnx'),
         'none.pth does not exist'),
        ((*files, 'a.bin'), 'a.bin must end in .onnx or .pt2'),
        ((*files, 'a.onnx', '--shape', 64, 65), '64 x 65: expected multiples'),
    ):
        error = export(*arguments)
        assert error.startswith('export.py: error: ') and message in error
        assert error.count('\n') == 1
    assert len(list(workplace.iterdir())) == 2


@pytest.mark.slow
def test_a_program_runs(export, workplace):
    out = workplace / 'model.pt2'
    printed = export(workplace / 'config.py', workplace / 'model.pth', out,
                     '--shape', 64, 96)
    assert '64 x 96: class logits ' in printed
    assert f'{out}: ' in printed and '5 classes' in printed
    program = torch.export.load(out)
    classes, masks = program.module()(torch.zeros(1, 3, 64, 96),
                                      torch.ones(2, 77))
    assert classes.shape == (2, 10, 6) and masks.shape == (2, 10, 16, 24)


@pytest.mark.slow
def test_an_onnx_file_runs_without_torch(root, export, workplace):
    """Its class map is that of the model, from any size."""
    pytest.importorskip('onnxruntime')
    out = workplace / 'model.onnx'
    printed = export(workplace / 'config.py', workplace / 'model.pth', out)
    assert printed.count('class logits ') == 2
    image = np.random.default_rng(0).integers(0, 255, (9, 13, 3))
    image = cv2.resize(image.astype(np.uint8), (101, 75))
    cv2.imwrite(str(workplace / 'image.png'), image)
    # importing torch fails where sys.modules says None
    code = ("import runpy, sys; sys.modules['torch'] = None; "
            "runpy.run_path('tools/run_onnx.py')")
    files = [str(workplace / name) for name in ('image.png', 'out.png')]
    subprocess.run(
        [sys.executable, '-c', code,
         str(out), files[0], 'semantic', files[1]],
        cwd=root,
        check=True)
    model = tiny.build()
    data = dict(
        inputs=[torch.from_numpy(image).permute(2, 0, 1)],
        data_samples=[tiny.sample('semantic', size=image.shape[:2])])
    with torch.no_grad():
        result = model.test_step(data)[0].pred_sem_seg.sem_seg[0]
    written = np.array(Image.open(files[1]))
    assert (written == result.numpy()).mean() > 0.999
