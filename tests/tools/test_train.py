"""Training runs that are killed and resumed, and bad command lines."""
import importlib.util
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import toy  # noqa: E402, isort: skip

from tests.helpers import write_panoptic_dataset  # noqa: E402

ROOT = HERE.parents[1]
CONFIG = str(HERE / 'toy_config.py')


def environment(work_dir, kill=None):
    """What makes a toy run leave its trace in trace.jsonl, and die."""
    return dict(
        TOY_TRACE=str(work_dir / 'trace.jsonl'),
        TOY_KILL=kill or '',
        OMP_NUM_THREADS='1')


def run_training(work_dir, *arguments, kill=None):
    """A process of train.py that has imported its libraries beforehand."""
    processes = multiprocessing.get_context('forkserver')
    processes.set_forkserver_preload(
        ['projects.oneformer', 'mmdet.models', 'mmdet.evaluation', 'toy'])
    output = work_dir / 'output.txt'
    process = processes.Process(
        target=toy.train_in_process,
        args=(str(ROOT), [CONFIG, '--work-dir',
                          str(work_dir),
                          *arguments], environment(work_dir,
                                                   kill), str(output)))
    process.start()
    process.join(timeout=120)
    expected = -signal.SIGKILL if kill else 0
    assert process.exitcode == expected, output.read_text()


def read_trace(work_dir):
    """Iterations as (iter, lr, indices), and the samples loaded."""
    path = work_dir / 'trace.jsonl'
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    path.unlink()
    steps = [(entry['iter'], entry['lr'], entry['indices'])
             for entry in entries if 'iter' in entry]
    return steps, [entry['loaded'] for entry in entries if 'loaded' in entry]


def load(path):
    return torch.load(path, map_location='cpu', weights_only=False)


@pytest.fixture(scope='module')
def uninterrupted(tmp_path_factory):
    """Steps, loaded samples and last checkpoint of a run in one go."""
    work_dir = tmp_path_factory.mktemp('uninterrupted')
    process = subprocess.run([
        sys.executable, ROOT / 'tools/train.py', CONFIG, '--work-dir', '.',
        '--cfg-options', 'randomness.seed=7'
    ],
                             env={
                                 **os.environ,
                                 **environment(work_dir), 'PYTHONPATH':
                                 str(HERE)
                             },
                             cwd=work_dir,
                             capture_output=True,
                             text=True)
    assert process.returncode == 0, process.stderr
    return *read_trace(work_dir), load(work_dir / 'iter_10.pth')


def test_run_in_one_go(uninterrupted):
    steps, loaded, checkpoint = uninterrupted
    assert [step for step, _, _ in steps] == list(range(10))
    assert loaded == [index for _, _, indices in steps for index in indices]
    assert [lr for _, lr, _ in steps] == pytest.approx(
        [0.01 * (1 - step / 9)**0.9 for step in range(10)])
    assert checkpoint['meta']['iter'] == 10


def test_killed_while_writing_and_between_checkpoints(uninterrupted, tmp_path):
    steps, _, expected = uninterrupted
    seed = ['--cfg-options', 'randomness.seed=7']
    run_training(tmp_path, *seed, kill='write 6')
    assert read_trace(tmp_path)[0] == steps[:6]
    # The one before is there although only one is kept, and is named.
    assert (tmp_path / 'iter_4.pth').is_file()
    assert not (tmp_path / 'iter_6.pth').exists()
    assert (tmp_path / 'iter_6.pth.unfinished').is_file()
    assert Path((tmp_path / 'last_checkpoint').read_text()).name \
        == 'iter_4.pth'

    # No seed is given again: that of the run continues.
    run_training(tmp_path, '--resume', kill='iter 9')
    resumed, loaded = read_trace(tmp_path)
    assert resumed == steps[4:9]
    assert loaded == [index for _, _, indices in resumed for index in indices]
    assert sorted(path.name
                  for path in tmp_path.glob('iter_*')) == ['iter_8.pth']

    run_training(tmp_path, '--resume', str(tmp_path / 'iter_8.pth'))
    assert read_trace(tmp_path)[0] == steps[8:]
    assert_equal_ends(load(tmp_path / 'iter_10.pth'), expected)


def assert_equal_ends(checkpoint, expected):
    """Same weights, optimizer state, schedule and random state."""
    for name, weight in expected['state_dict'].items():
        assert torch.equal(checkpoint['state_dict'][name], weight), name
    for index, moments in expected['optimizer']['state'].items():
        for name, value in moments.items():
            found = checkpoint['optimizer']['state'][index][name]
            assert torch.equal(found, value)
    assert checkpoint['param_schedulers'] == expected['param_schedulers']
    assert checkpoint['sampler_seed'] == expected['sampler_seed'] == 7
    assert torch.equal(checkpoint['random_states'][0]['torch'],
                       expected['random_states'][0]['torch'])


def test_workers_load_nothing_twice(uninterrupted, tmp_path):
    steps, _, _ = uninterrupted
    options = [
        '--cfg-options', 'train_dataloader.num_workers=1',
        'default_hooks.checkpoint.interval=4'
    ]
    run_training(tmp_path, *options, 'randomness.seed=7', kill='iter 5')
    read_trace(tmp_path)
    run_training(tmp_path, '--resume', *options)
    resumed, loaded = read_trace(tmp_path)
    assert resumed == steps[4:]
    # The worker reads ahead at the end, but never what was seen before.
    seen = [index for _, _, indices in resumed for index in indices]
    assert loaded[:len(seen)] == seen and len(loaded) <= len(seen) + 2 * 2 + 2


@pytest.fixture(scope='module')
def train():
    spec = importlib.util.spec_from_file_location('tools_train',
                                                  ROOT / 'tools/train.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def prepare(train, monkeypatch, tmp_path):
    """The config that train.py makes of a command line."""
    monkeypatch.syspath_prepend(str(HERE))

    def run(*arguments):
        monkeypatch.setattr(
            sys, 'argv',
            ['train.py', CONFIG, '--work-dir',
             str(tmp_path), *arguments])
        return train.prepare(train.parse_args())

    return run


def test_options(prepare):
    cfg = prepare('--auto-scale-lr', '--cfg-options', 'train_cfg.max_iters=3')
    assert cfg.auto_scale_lr == dict(enable=True, base_batch_size=16)
    assert cfg.train_cfg.max_iters == 3
    assert not cfg.resume and cfg.launcher == 'none'


def test_mixed_precision(prepare, train, monkeypatch):
    monkeypatch.setattr(train, 'get_device', lambda: 'cuda')
    wrapper = prepare('--amp').optim_wrapper
    assert wrapper.type == 'AmpOptimWrapper'
    assert wrapper.loss_scale == 'dynamic'
    assert wrapper.constructor == 'OneFormerOptimWrapperConstructor'
    monkeypatch.setattr(train, 'get_device', lambda: 'cpu')
    with pytest.raises(ValueError, match='--amp needs a GPU'):
        prepare('--amp')


def test_mixed_precision_of_the_config_needs_a_gpu(prepare, train, monkeypatch,
                                                   capsys):
    options = [
        '--cfg-options', 'optim_wrapper.type=AmpOptimWrapper',
        'optim_wrapper.loss_scale=dynamic'
    ]
    monkeypatch.setattr(train, 'get_device', lambda: 'cuda')
    assert prepare(*options).optim_wrapper.type == 'AmpOptimWrapper'
    monkeypatch.setattr(train, 'get_device', lambda: 'cpu')
    wrapper = prepare(*options).optim_wrapper
    assert wrapper.type == 'OptimWrapper' and 'loss_scale' not in wrapper
    assert 'training in float32' in capsys.readouterr().out


def test_resume_without_checkpoint_keeps_initial_weights(
        prepare, capsys, tmp_path):
    weights = str(tmp_path / 'weights.pth')
    torch.save(dict(weight=torch.zeros(9)), weights)
    cfg = prepare('--resume', '--cfg-options', f'load_from={weights}')
    assert cfg.load_from == weights and not cfg.resume
    assert 'no complete checkpoint' in capsys.readouterr().out


def test_resume_takes_the_last_complete_one(prepare, tmp_path):
    torch.save(dict(weight=torch.zeros(9)), tmp_path / 'iter_2.pth')
    (tmp_path / 'iter_4.pth').write_bytes(
        (tmp_path / 'iter_2.pth').read_bytes()[:-30])
    cfg = prepare('--resume')
    assert cfg.resume and cfg.load_from == str(tmp_path / 'iter_2.pth')


@pytest.fixture
def run(train, monkeypatch, capsys, tmp_path):
    """The error that train.py ends with on a config made from the toy."""
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setenv('TOY_TRACE', str(tmp_path / 'trace.jsonl'))

    def run(text, *options):
        config = tmp_path / 'config.py'
        config.write_text(f'_base_ = [{CONFIG!r}]\n{text}')
        # One runner per experiment: MMEngine reuses a logger by its name.
        monkeypatch.setattr(sys, 'argv', [
            'train.py',
            str(config), '--work-dir',
            str(tmp_path / 'work'), '--cfg-options', *options,
            f'experiment_name={tmp_path.name}'
        ])
        with pytest.raises(SystemExit) as ended:
            train.main()
        error = capsys.readouterr().err
        assert ended.value.code == 2
        assert not (tmp_path / 'trace.jsonl').exists(), 'nothing was loaded'
        lines = error.splitlines()
        assert lines[-1].startswith('train.py: error: ')
        assert 'Traceback' not in error
        return lines[-1]

    return run


def with_data(train, val, evaluator='PanopticQualityMetric'):
    """Config text that trains and validates on these data sets."""
    evaluator = repr(dict(type=evaluator))
    return f"""
train_dataloader = dict(dataset=dict(_delete_=True, **{train!r}))
val_dataloader = dict(
    batch_size=1, num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False), dataset={val!r})
val_evaluator = [{evaluator}]
val_cfg = dict(_delete_=True, type='ValLoop')
model = dict(num_things_classes=2, num_stuff_classes=2)
"""


@pytest.fixture
def data(tmp_path):
    """Data sets of both splits, with a toy of a pipeline."""
    return [
        dict(write_panoptic_dataset(tmp_path, split=split), pipeline=[])
        for split in ('train', 'val')
    ]


def test_a_missing_split_is_named_before_training(run, data, tmp_path):
    (tmp_path / 'panoptic_val.json').unlink()
    assert 'panoptic_val.json' in run(with_data(*data))


def test_a_wrong_tree_is_named_before_training(run, data, tmp_path):
    (tmp_path / 'panoptic_val').rename(tmp_path / 'panoptic')
    assert f'{tmp_path}/panoptic_val' in run(with_data(*data))


def test_other_categories_are_named_before_training(run, data, tmp_path):
    data[0]['categories'] = 'cityscapes'
    options = 'model.num_things_classes=8', 'model.num_stuff_classes=11'
    assert 'panoptic_train.json' in run(with_data(*data), *options)


def test_data_sets_of_different_classes(run, data, tmp_path):
    path = tmp_path / 'panoptic_val.json'
    path.write_text(path.read_text().replace('"car"', '"bus"'))
    assert "is 'car' in train_dataloader, 'bus' in" in run(with_data(*data))


def test_an_annotation_that_cannot_answer(run, data):
    data[1]['type'] = 'InstanceDataset'
    assert ('measures the panoptic task, which the annotation of '
            'InstanceDataset') in run(with_data(*data))


def test_a_checkpoint_that_does_not_fit(run, tmp_path):
    path = tmp_path / 'other.pth'
    torch.save(toy.ToyModel(5, 1).state_dict(), path)
    error = run(
        f'load_from = {str(path)!r}\ndefault_hooks = dict(logger=None)')
    assert f'checkpoint {path} does not fit the model' in error
    assert 'head.weight [6, 8] instead of [3, 8]' in error


def test_a_checkpoint_that_is_cut_short(run, tmp_path):
    path = tmp_path / 'other.pth'
    torch.save(toy.ToyModel(2, 1).state_dict(), path)
    path.write_bytes(path.read_bytes()[:-100])
    assert f'{path} cannot be read' in run(f'load_from = {str(path)!r}')


def test_an_error_during_training_is_not_hidden(train, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(HERE))

    def fail(*args, **kwargs):
        raise ValueError('a mistake in the model')

    monkeypatch.setattr(toy.ToyModel, 'forward', fail)
    monkeypatch.setattr(sys, 'argv', [
        'train.py', CONFIG, '--work-dir',
        str(tmp_path), '--cfg-options', f'experiment_name={tmp_path.name}'
    ])
    with pytest.raises(ValueError, match='a mistake in the model'):
        train.main()


@pytest.mark.parametrize('arguments, words', [
    (['absent.py'], 'config absent.py does not exist'),
    ([CONFIG, '--resume', 'absent.pth'], 'absent.pth does not exist'),
    ([CONFIG, '--auto-scale-lr', '--cfg-options', 'auto_scale_lr=None'
      ], 'does not state auto_scale_lr.base_batch_size'),
    ([
        CONFIG, '--cfg-options', 'model.num_stuff_classes=None',
        'train_dataloader.dataset.ann_file=absent.json'
    ], 'annotation file absent.json does not exist'),
])
def test_bad_command_line_is_one_line(train, monkeypatch, capsys, tmp_path,
                                      arguments, words):
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', ['train.py', *arguments])
    with pytest.raises(SystemExit) as ended:
        train.main()
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert error.startswith('train.py: error: ') and words in error
    assert error.count('\n') == 1
