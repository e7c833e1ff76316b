"""Curves from MMEngine's logs."""
import json
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import cv2
import numpy as np
import pytest

TOOL = Path(__file__).parents[2] / 'tools/analysis_tools/plot_training.py'


@pytest.fixture(scope='module')
def tool():
    spec = spec_from_file_location('plot_training', TOOL)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def training(step, loss=1., **kwargs):
    return dict(
        lr=1e-4, loss=loss, loss_cls=0.5, loss_mask=0.3, loss_dice=0.2,
        loss_contrastive=0.1, iter=step, step=step, **{'d0.loss_cls': 9.},
        **kwargs)  # yapf: disable


def write_log(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(''.join(json.dumps(record) + '\n' for record in records))
    return path


def test_curves_by_panel(tool, tmp_path):
    log = write_log(tmp_path / 'scalars.json', [
        training(10),
        training(20, loss=0.5), {
            'panoptic/PQ': 41.,
            'panoptic/PQ_th': 3.,
            'instance/segm_mAP': 0.2,
            'semantic/mIoU': 60.,
            'time': 0.1,
            'step': 20
        }
    ])
    curves = tool.curves_of(tool.read_log(log))
    assert curves['total loss'] == {'loss': ([10, 20], [1., 0.5])}
    assert curves['losses of the last prediction'] == {
        'class': ([10, 20], [0.5, 0.5]),
        'mask': ([10, 20], [0.3, 0.3]),
        'dice': ([10, 20], [0.2, 0.2])
    }
    assert curves['contrastive loss'] == {
        'contrastive': ([10, 20], [0.1, 0.1])
    }
    assert curves['learning rate'] == {
        'learning rate': ([10, 20], [1e-4, 1e-4])
    }
    assert curves['validation, in percent'] == {
        'PQ': ([20], [41.]),
        'AP': ([20], [20.]),
        'mIoU': ([20], [60.])
    }


def test_validations_of_epochs_stand_at_their_iteration(tool, tmp_path):
    log = write_log(tmp_path / 'scalars.json', [
        training(100, epoch=1),
        {'panoptic/PQ': 10., 'step': 1},
        training(200, epoch=2),
        {'panoptic/PQ': 20., 'step': 2}
    ])  # yapf: disable
    curves = tool.curves_of(tool.read_log(log))
    assert curves['validation, in percent']['PQ'] == ([100, 200], [10., 20.])


def test_resumed_run_replaces_what_was_lost(tool, tmp_path):
    work_dir = tmp_path / 'run'
    write_log(work_dir / '20250101_000000/vis_data/scalars.json',
              [training(step, loss=1.) for step in (10, 20, 30)])
    write_log(work_dir / '20250101_010000/vis_data/scalars.json',
              [training(step, loss=2.) for step in (20, 30, 40)])
    logs = tool.find_logs([str(work_dir)])
    assert len(logs) == 2
    curves = tool.curves_of(tool.join_runs(map(tool.read_log, logs)))
    assert curves['total loss']['loss'] == ([10, 20, 30, 40], [1., 2., 2., 2.])


def test_unfinished_last_line_is_dropped_but_no_other(tool, tmp_path):
    log = write_log(tmp_path / 'scalars.json', [training(10), training(20)])
    with open(log, 'a') as file:
        file.write('{"loss": 3., "st')
    assert [record['step'] for record in tool.read_log(log)] == [10, 20]
    log.write_text('no json\n' + log.read_text())
    with pytest.raises(ValueError, match='scalars.json, line 1'):
        tool.read_log(log)


def test_unmeasured_numbers_leave_no_point(tool, tmp_path):
    log = write_log(tmp_path / 'scalars.json', [
        training(10),
        {'instance/segm_mAP': -1., 'semantic/mIoU': float('nan'), 'step': 10}
    ])  # yapf: disable
    assert 'validation, in percent' not in tool.curves_of(tool.read_log(log))


def test_smoothing_keeps_the_level(tool):
    assert np.allclose(tool.smoothed([2.] * 50), 2)
    assert tool.smoothed(range(100))[50] == pytest.approx(50)


def test_tool_writes_a_picture(tmp_path):
    steps = range(10, 1000, 10)
    log = write_log(tmp_path / 'scalars.json',
                    [training(step, loss=1000 / step)
                     for step in steps] + [{
                         'panoptic/PQ': 50.,
                         'step': 990
                     }])
    out = tmp_path / 'new' / 'curves.png'
    subprocess.run(
        [sys.executable,
         str(TOOL), str(log), '--out',
         str(out)],
        check=True,
        cwd=tmp_path)
    picture = cv2.imread(str(out))
    assert picture.shape[1] > 1200
    assert picture.std() > 10


@pytest.mark.parametrize('content, message',
                         [(None, 'is no file'),
                          ('{"step": 1}\n', 'nothing to plot'),
                          ('nonsense', 'line 1'), ('', 'nothing to plot')])
def test_what_is_no_log_is_named_in_a_line(tmp_path, content, message):
    log = tmp_path / 'some.json'
    if content is not None:
        log.write_text(content)
    done = subprocess.run([
        sys.executable,
        str(TOOL),
        str(log), '--out',
        str(tmp_path / 'out.png')
    ],
                          capture_output=True,
                          text=True)
    assert done.returncode == 2
    assert done.stderr.startswith('plot_training.py: error: ')
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / 'out.png').exists()
