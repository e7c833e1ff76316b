"""What test.py prints and writes, with a toy model in place of OneFormer."""
import importlib.util
import json
import pickle
import sys
from pathlib import Path

import pytest
import torch

from projects.oneformer.tasks import TASKS

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import toy  # noqa: E402, isort: skip

CONFIG = str(HERE / 'toy_config.py')


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location(
        'tools_test', HERE.parents[1] / 'tools/test.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(tool, monkeypatch, capsys, tmp_path):
    """Lines that test.py prints, after those of the log."""
    checkpoint = tmp_path / 'toy.pth'
    torch.save(toy.ToyModel(2, 1).state_dict(), checkpoint)
    # One runner per experiment: MMEngine reuses a logger by its name.
    name = f'experiment_name={tmp_path.name}'

    def run(*arguments, config=CONFIG, checkpoint=str(checkpoint)):
        if '--cfg-options' not in arguments:
            arguments = [*arguments, '--cfg-options']
        monkeypatch.setattr(sys, 'argv', [
            'test.py', config, checkpoint, '--work-dir',
            str(tmp_path), *arguments, name
        ])
        tool.main()
        return [line.split() for line in capsys.readouterr().out.splitlines()]

    return run


def read(path):
    return json.loads(path.read_text())['results']


def test_one_pass_for_all_tasks(run, tmp_path, monkeypatch):
    trace = tmp_path / 'trace.jsonl'
    monkeypatch.setenv('TOY_TRACE', str(trace))
    lines = run()
    assert lines[-1] == ['PQ', '20.8', 'AP', '20.8', 'mIoU', '20.8']
    assert ['PQ', 'SQ', 'RQ'] in lines
    assert ['stuff', '20.8', '20.8', '20.8'] in lines
    assert ['AP', 'AP50', 'AP75', 'AP_s', 'AP_m', 'AP_l'] in lines
    results = read(tmp_path / 'test_results.json')
    assert len(results) == 18 and results['AP50'] == pytest.approx(20.8)
    loaded = trace.read_text().splitlines()
    assert len(loaded) == 11, 'each image is loaded once for all tasks'


def test_asked_tasks_only(run, tmp_path):
    lines = run('--tasks', 'semantic', 'panoptic')
    assert lines[-1] == ['mIoU', '20.8', 'PQ', '20.8']
    assert set(read(tmp_path / 'test_results.json')) == {
        'PQ', 'SQ', 'RQ', 'PQ_th', 'SQ_th', 'RQ_th', 'PQ_st', 'SQ_st', 'RQ_st',
        'mIoU', 'aAcc', 'mAcc'
    }


def test_tasks_of_the_config(run):
    lines = run('--cfg-options', 'model.test_cfg.tasks=[instance]')
    assert lines[-1] == ['AP', '20.8']


def test_table_under_each_token(run, tmp_path):
    lines = run('--task-table')
    # A task scores 20.8 under its own token and 10.8 under another one.
    start = lines.index(['token', 'PQ', 'PQ_th', 'PQ_st', 'AP', 'mIoU'])
    assert lines[start + 1:start + 4] == [
        ['panoptic', '20.8', '20.8', '20.8', '10.8', '10.8'],
        ['instance', '10.8', '10.8', '10.8', '20.8', '10.8'],
        ['semantic', '10.8', '10.8', '10.8', '10.8', '20.8'],
    ]
    assert lines[-1] == ['PQ', '20.8', 'AP', '20.8', 'mIoU', '20.8']
    results = read(tmp_path / 'task_table.json')
    assert tuple(results) == TASKS
    assert results['semantic']['PQ'] == pytest.approx(10.8)


def test_predictions_to_file(run, tmp_path):
    out = tmp_path / 'predictions.pkl'
    lines = run('--tasks', 'semantic', '--out', str(out))
    assert lines[-1] == ['mIoU', '20.8']
    samples = pickle.loads(out.read_bytes())
    assert [sample['index'] for sample in samples] == list(range(11))


def test_drawing_is_switched_on(tool, monkeypatch, tmp_path):
    checkpoint = tmp_path / 'toy.pth'
    checkpoint.touch()
    monkeypatch.setattr(
        sys, 'argv',
        ['test.py', CONFIG,
         str(checkpoint), '--show-dir', 'drawn'])
    cfg = tool.prepare(tool.parse_args())
    assert cfg.default_hooks.visualization.draw
    assert cfg.default_hooks.visualization.test_out_dir == 'drawn'


@pytest.mark.parametrize('arguments, changed, words', [
    (['--tasks', 'depth'], {}, "task 'depth' is unknown: choose from"),
    (['--tasks', 'semantic', 'semantic'], {}, 'each once'),
    ([], dict(config='absent.py'), 'config absent.py does not exist'),
    ([], dict(checkpoint='absent.pth'), 'checkpoint absent.pth does not'),
    (['--cfg-options', 'model.test_cfg.tasks=[depth]'
      ], {}, "task 'depth' is unknown"),
    (['--cfg-options', 'test_evaluator.type=ToyOther', 'test_evaluator=None'
      ], {}, "no test evaluator for task 'panoptic'"),
])
def test_bad_command_line_is_one_line(run, capsys, arguments, changed, words):
    with pytest.raises(SystemExit) as ended:
        run(*arguments, **changed)
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert error.startswith('test.py: error: ') and words in error
    assert error.count('\n') == 1


@pytest.mark.parametrize('arguments, words', [
    (['--task-table', '--out', 'x.pkl'], 'predictions of one pass'),
    (['--out', 'x.json'], 'must end in .pkl'),
])
def test_bad_out(run, capsys, arguments, words):
    with pytest.raises(SystemExit) as ended:
        run(*arguments)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err
