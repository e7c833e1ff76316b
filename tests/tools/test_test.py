"""What test.py prints and writes, with a toy model in place of OneFormer."""
import importlib.util
import json
import pickle
import sys
from pathlib import Path

import pytest
import torch
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate

from projects.oneformer.apis import augment_test_data, load_config
from projects.oneformer.models import OneFormerTTAModel
from projects.oneformer.tasks import TASKS
from tests.helpers import make_samples, write_panoptic_dataset
from tests.models import tiny

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
    torch.save(dict(weight=torch.zeros(1)), checkpoint)
    monkeypatch.setattr(
        sys, 'argv',
        ['test.py', CONFIG,
         str(checkpoint), '--show-dir', 'drawn'])
    cfg = tool.prepare(tool.parse_args())
    assert cfg.default_hooks.visualization.draw
    assert cfg.default_hooks.visualization.test_out_dir == 'drawn'


def write_config(tmp_path, text):
    path = tmp_path / 'config.py'
    path.write_text(f'_base_ = [{CONFIG!r}]\n{text}')
    return str(path)


def test_a_second_instance_metric(run, tmp_path):
    text = """
test_evaluator = [*_base_.test_evaluator,
                  dict(type='ToyInstance', prefix='instance_original')]
"""
    lines = run(config=write_config(tmp_path, text))
    assert ['original', *['20.8'] * 6] in lines
    assert lines[-1] == ['PQ', '20.8', 'AP', '20.8', 'mIoU', '20.8']
    assert read(tmp_path /
                'test_results.json')['AP_i50'] == pytest.approx(20.8)
    lines = run('--task-table', config=write_config(tmp_path, text))
    assert lines[-1] == ['PQ', '20.8', 'AP', '20.8', 'mIoU', '20.8']


def test_two_of_three_tasks(run, tmp_path):
    text = """
model = dict(test_cfg=dict(tasks=('panoptic', 'semantic')))
test_evaluator = [dict(type='ToyPanoptic'), dict(type='ToySemantic')]
"""
    lines = run(config=write_config(tmp_path, text))
    assert lines[-1] == ['PQ', '20.8', 'mIoU', '20.8']
    lines = run('--task-table', config=write_config(tmp_path, text))
    assert ['token', 'PQ', 'PQ_th', 'PQ_st', 'mIoU'] in lines


def fails(run, capsys, *arguments, **changed):
    with pytest.raises(SystemExit) as ended:
        run(*arguments, **changed)
    error = capsys.readouterr().err
    assert ended.value.code == 2 and 'Traceback' not in error
    last = error.splitlines()[-1]
    assert last.startswith('test.py: error: ')
    return last


def test_bad_data_is_one_line(run, capsys, tmp_path):
    dataset = write_panoptic_dataset(tmp_path, split='val')
    (tmp_path / 'val/image_1.png').unlink()
    text = f"""
model = dict(num_things_classes=2, num_stuff_classes=2)
test_dataloader = dict(dataset=dict(_delete_=True, pipeline=[], **{dataset}))
"""
    error = fails(run, capsys, config=write_config(tmp_path, text))
    assert f'{tmp_path}/val/image_1.png' in error


def test_a_checkpoint_of_another_model_is_one_line(run, capsys, tmp_path):
    path = tmp_path / 'other.pth'
    torch.save(toy.ToyModel(3, 1).state_dict(), path)
    error = fails(run, capsys, checkpoint=str(path))
    assert 'head.weight [4, 8] instead of [3, 8]' in error
    path.write_bytes(path.read_bytes()[:-100])
    error = fails(run, capsys, checkpoint=str(path))
    assert f'{path} cannot be read' in error


@pytest.mark.parametrize('arguments, changed, words', [
    (['--tasks', 'depth'], {}, "task 'depth' is unknown: choose from"),
    (['--tasks', 'semantic', 'semantic'], {}, 'each once'),
    ([], dict(config='absent.py'), 'config absent.py does not exist'),
    ([], dict(checkpoint='absent.pth'), 'checkpoint absent.pth does not'),
    (['--cfg-options', 'model.test_cfg.tasks=[depth]'
      ], {}, "task 'depth' is unknown"),
    (['--cfg-options', 'test_evaluator.type=ToyOther', 'test_evaluator=None'
      ], {}, "no test evaluator for task 'panoptic'"),
    (['--cfg-options', 'test_evaluator.2.prefix=other'
      ], {}, "no test evaluator for task 'instance'"),
    (['--tta', '--cfg-options', 'test_evaluator=None'
      ], {}, "no test evaluator for task 'semantic'"),
    (['--tta', '--cfg-options', 'test_dataloader.dataset.pipeline=[]'
      ], {}, 'does not end in PackDetInputs'),
])
def test_bad_command_line_is_one_line(run, capsys, arguments, changed, words):
    with pytest.raises(SystemExit) as ended:
        run(*arguments, **changed)
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert error.startswith('test.py: error: ') and words in error
    assert error.count('\n') == 1


@pytest.fixture
def street(tmp_path):
    """A tiny OneFormer, its checkpoint and three images to test it on."""
    categories = [
        dict(id=i, name=name, isthing=int(i < 3), color=[i, i, i])
        for i, name in enumerate(tiny.CLASSES)
    ]
    # large enough for half of it to pass the tiny model
    dataset = write_panoptic_dataset(tmp_path,
                                     make_samples(3, (96, 112), categories),
                                     categories, 'val')
    model = tiny.build()
    torch.save(model.state_dict(), tmp_path / 'tiny.pth')
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(
            type='PackDetInputs',
            meta_keys=('img_path', 'ori_shape', 'img_shape', 'seg_map_path',
                       'segments_info'))
    ]
    Config(
        dict(
            custom_imports=dict(imports=['projects.oneformer']),
            default_scope='mmdet',
            model=tiny.tiny_config(),
            test_dataloader=dict(
                batch_size=1,
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=dict(dataset, pipeline=pipeline, test_mode=True)),
            test_cfg=dict(type='TestLoop'),
            test_evaluator=[
                dict(type='PanopticQualityMetric'),
                dict(type='SemanticMetric')
            ])).dump(tmp_path / 'street.py')
    return dict(
        config=str(tmp_path / 'street.py'),
        checkpoint=str(tmp_path / 'tiny.pth'))


def test_scales_and_flips(run, tmp_path, street):
    out = tmp_path / 'predictions.pkl'
    lines = run('--tta', '--out', str(out), **street)
    assert lines[-1][0] == 'mIoU' and len(lines[-1]) == 2
    results = read(tmp_path / 'test_results_tta.json')
    assert set(results) == {'mIoU', 'aAcc', 'mAcc'}
    # the same by hand; the config is there as it was
    cfg = load_config(street['config'])
    augment_test_data(cfg)
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    data = pseudo_collate([dataset[0]])
    assert len(data['inputs']) == 12
    sample, = OneFormerTTAModel(tiny.build()).test_step(data)
    predicted = pickle.loads(out.read_bytes())[0]['pred_sem_seg']['sem_seg']
    assert torch.equal(predicted, sample.pred_sem_seg.sem_seg)
    # one size and no flip is another answer
    plain = run('--tasks', 'semantic', '--out', str(out), **street)
    assert plain[-1][0] == 'mIoU'
    assert read(tmp_path / 'test_results.json') != results
    assert read(tmp_path / 'test_results_tta.json') == results


@pytest.mark.parametrize('arguments, words', [
    (['--task-table', '--out', 'x.pkl'], 'predictions of one pass'),
    (['--out', 'x.json'], 'must end in .pkl'),
    (['--tta', '--tasks', 'instance'], 'not go with --tasks instance'),
    (['--tta', '--tasks', 'semantic', 'panoptic'
      ], 'not go with --tasks semantic panoptic'),
    (['--tta', '--task-table'], '--tta does not go with --task-table'),
])
def test_options_that_do_not_go_together(run, capsys, arguments, words):
    with pytest.raises(SystemExit) as ended:
        run(*arguments)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err
