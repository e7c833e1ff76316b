"""Answers from the command line."""
import errno
import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import cv2
import pytest
import torch

from tests.apis.conftest import random_image, write_model

TOOL = Path(__file__).parents[2] / 'tools/infer.py'


def report(done, before, failed):
    return (f'out: images answered: {done}, answered before: {before}, '
            f'failed inputs: {failed}\n')


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp('model'))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with two images."""
    (tmp_path / 'images').mkdir()
    for number in (1, 2):
        cv2.imwrite(
            str(tmp_path / f'images/{number}.png'),
            random_image(40, 60, number))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(folder, monkeypatch, capsys):
    """A function that runs the tool: exit status, output, errors."""
    spec = spec_from_file_location('infer', TOOL)
    tool = module_from_spec(spec)
    spec.loader.exec_module(tool)

    def start(*args):
        monkeypatch.setattr('sys.argv', [TOOL.name, *map(str, args)])
        with pytest.raises(SystemExit) as stopped:
            tool.main()
        captured = capsys.readouterr()
        errors = [
            line for line in captured.err.splitlines()
            if 'error' in line or 'rror:' in line
        ]
        return stopped.value.code, captured.out, errors

    return start


def test_command_of_the_documentation(folder, model):
    command = [
        sys.executable, TOOL, 'images', *model, '--tasks', 'panoptic',
        'semantic', '--out', 'out', '--save', 'overlay', 'coco-panoptic'
    ]
    done = subprocess.run(
        list(map(str, command)),
        env=dict(os.environ, OMP_NUM_THREADS='1'),
        capture_output=True,
        text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == report(2, 0, 0)
    assert '2/2' in done.stderr and 'arning' not in done.stderr
    made = sorted(
        str(path.relative_to(folder / 'out'))
        for path in (folder / 'out').rglob('*') if path.is_file())
    assert made == [
        'categories.json', 'overlay-panoptic/1.jpg', 'overlay-panoptic/2.jpg',
        'overlay-semantic/1.jpg', 'overlay-semantic/2.jpg', 'panoptic.json',
        'panoptic/1.json', 'panoptic/1.png', 'panoptic/2.json',
        'panoptic/2.png', 'records/1.json', 'records/2.json', 'settings.json'
    ]
    assert cv2.imread('out/overlay-panoptic/1.jpg').shape == (40, 60, 3)


def test_second_run_does_the_rest(run, folder, model):
    args = ('*/1.png', *model, '--tasks', 'semantic', '--out', 'out')
    assert run(*args) == (0, report(1, 0, 0), [])
    assert run('images', *args) == (0, report(1, 1, 0), [])
    status, _, (error, ) = run(*args, '--score-thr', '0.5')
    assert status == 2
    assert error == (
        'infer.py: error: out has results of another run: score_thr was 0.3 '
        'and is now 0.5; choose another folder, or delete this one')


def test_a_config_that_was_edited(run, folder, model):
    config = folder / 'config.py'
    config.write_text(Path(model[0]).read_text())
    args = ('images', config, model[1], '--tasks', 'semantic', '--out', 'out')
    assert run(*args)[0] == 0
    config.write_text(
        Path(model[0]).read_text().replace('iou_thr=0.0', 'iou_thr=0.5'))
    status, _, (error, ) = run(*args)
    assert status == 2
    assert 'out has results of another run: config_content was ' in error


def test_one_broken_input_does_not_stop_the_rest(run, folder, model):
    (folder / 'broken.jpg').write_text('no image')
    (folder / 'broken.mp4').write_text('no video')
    (folder / 'empty').mkdir()
    status, out, errors = run('broken.jpg', 'empty', 'none.png', 'broken.mp4',
                              'images', *model, '--tasks', 'semantic', '--out',
                              'out')
    assert status == 1
    assert out == report(2, 0, 4)
    assert errors == [
        f'infer.py: error: {message}'
        for message in ('folder empty has no image or video',
                        'none.png does not exist',
                        'broken.jpg is no image, or a broken one',
                        'video broken.mp4 cannot be decoded')
    ]


@pytest.mark.parametrize('inputs, options, message', [
    (['images'], ['--tasks', 'depth'],
     "task 'depth' is unknown: choose from panoptic, instance, semantic"),
    (['images'], ['--save', 'gif'],
     "format 'gif' is unknown: choose from overlay, sheet, coco-panoptic"),
    (['images'], ['--tasks', 'semantic', '--save', 'coco-instance'],
     "format 'coco-instance' needs the task 'instance', which is not asked"),
    (['images'], ['--device', 'abacus'], 'device abacus cannot be used: '),
    (['.'], [], 'folder . has no image or video'),
    (['none.jpg'], [], 'none.jpg does not exist'),
])
def test_wrong_arguments(run, folder, model, inputs, options, message):
    status, _, (error, ) = run(*inputs, *model, '--out', 'out', *options)
    assert status == 2
    assert error.startswith(f'infer.py: error: {message}')
    assert not (folder / 'out').exists()


def test_config_and_checkpoint_that_do_not_fit(run, folder, model):
    config, checkpoint = model
    torch.save(dict(state_dict={'a': torch.zeros(3)}), 'other.pth')
    Path('cut.pth').write_bytes(Path(checkpoint).read_bytes()[:5000])
    Path('data.py').write_text('val_dataloader = dict()')
    messages = {
        (config, 'none.pth'): 'checkpoint none.pth does not exist',
        (config, 'cut.pth'): 'cut.pth cannot be read; it is cut short or no',
        ('none.py', checkpoint): 'none.py is neither a config file that',
        ('cut.pth', checkpoint): 'cut.pth is no config: it must end in .py',
        ('data.py', checkpoint): 'data.py configures no model',
        (config, 'other.pth'): 'annotation file absent.json does not exist',
    }
    for files, message in messages.items():
        status, _, (error, ) = run('images', *files, '--out', 'out')
        assert status == 2
        assert error.startswith(f'infer.py: error: {message}')
    status, _, (error, ) = run('images', config, checkpoint, '--out', 'out',
                               '--cfg-options',
                               'model.panoptic_head.num_queries=12',
                               'model.panoptic_head.text_mapper.num_texts=9')
    assert status == 2
    assert 'weights.pth does not fit the config: ' in error
    assert 'queries: 10 in the file, 12 in the config' in error


def test_no_permission_and_a_full_disk(run, folder, model, monkeypatch):
    args = ('images', *model, '--tasks', 'semantic', '--out', 'out')
    write = Path.write_bytes

    def full(path, content):
        if path.name == '2.jpg':
            raise OSError(errno.ENOSPC, 'No space left on device')
        return write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, 'write_bytes', full)
        status, out, (error, ) = run(*args)
    assert status == 2
    assert out == report(1, 0, 0)
    assert error == (
        'infer.py: error: out/overlay-semantic/2.jpg cannot be written: No '
        'space left on device; what is done is valid, run again to go on')

    with monkeypatch.context() as patch:

        def refuse(*args, **kwargs):
            raise PermissionError(errno.EACCES, 'Permission denied')

        patch.setattr(
            'projects.oneformer.apis.result_folder.complete_or_absent', refuse)
        status, _, (error, ) = run(*args)
    assert status == 2
    assert error == ('infer.py: error: out/settings.json cannot be written: '
                     'Permission denied')

    assert run(*args)[:2] == (0, report(1, 1, 0))
