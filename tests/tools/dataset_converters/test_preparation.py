"""What all commands do alike: going on, stopping, checking."""
import os
import re
import signal
import subprocess
import sys
import time
from multiprocessing import get_context

import preparation
import pytest
from ade20k import Ade20k
from cityscapes import Cityscapes
from coco import Coco
from image_files import is_whole_png

from tests.conftest import ROOT
from tests.tools.dataset_converters.trees import (ade20k_tree, cityscapes_tree,
                                                  coco_tree, read_json,
                                                  snapshot)

# Data set, its tree, and one of the PNGs that are made.
DATA_SETS = [
    (Coco, coco_tree, 'panoptic_semseg_val2017/000000000002.png'),
    (Ade20k, ade20k_tree, 'ade20k_panoptic_val/ADE_val_00000002.png'),
    (Cityscapes, cityscapes_tree,
     'gtFine/val/ulm/ulm_000002_000019_gtFine_labelTrainIds.png'),
]
of_each = pytest.mark.parametrize('split_class, make_tree, png', DATA_SETS)


def contents(root):
    return {name: data for name, (_, data) in snapshot(root).items()}


@of_each
def test_a_second_run_changes_nothing(tmp_path, command, split_class,
                                      make_tree, png):
    make_tree(tmp_path)
    assert command(split_class, tmp_path)[0] == 0
    before = snapshot(tmp_path)
    status, said = command(split_class, tmp_path)
    assert status == 0 and 'val: 3 images needed nothing' in said
    assert snapshot(tmp_path) == before
    assert not any('unfinished' in name or 'journal' in name
                   for name in before)


@of_each
@pytest.mark.parametrize('damage', [
    lambda path: path.unlink(),
    lambda path: path.write_bytes(path.read_bytes()[:-20]),
    lambda path: path.write_bytes(b''),
], ids=['lost', 'cut', 'empty'])  # yapf: disable
def test_a_lost_or_cut_png_alone_is_made_again(tmp_path, command, split_class,
                                               make_tree, png, damage):
    make_tree(tmp_path)
    assert command(split_class, tmp_path)[0] == 0
    before = snapshot(tmp_path)
    damage(tmp_path / png)
    status, said = command(split_class, tmp_path, '--check')
    assert status == 1 and (tmp_path / png).name in said
    assert 'run again without --check' in said
    assert command(split_class, tmp_path)[0] == 0
    after = snapshot(tmp_path)
    assert contents(tmp_path) == {n: data for n, (_, data) in before.items()}
    changed = {n for n in before if before[n] != after[n]}
    assert png in changed
    assert changed <= {png} | {n for n in before if n.endswith('.json')}


@of_each
def test_check_writes_nothing_and_tells_what_is_missing(
        tmp_path, command, split_class, make_tree, png):
    make_tree(tmp_path)
    before = snapshot(tmp_path)
    status, said = command(split_class, tmp_path, '--check')
    assert status == 1
    assert f'PNGs missing in {(tmp_path / png).parent}: ' in said
    assert snapshot(tmp_path) == before
    assert command(split_class, tmp_path)[0] == 0
    before = snapshot(tmp_path)
    status, said = command(split_class, tmp_path, '--check')
    assert status == 0, said
    assert 'val: 3 images checked in' in said
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize('split_class, make_tree, names', [
    (Ade20k, ade20k_tree,
     ['ade20k_panoptic_val.json', 'ade20k_instance_val.json']),
    (Cityscapes, cityscapes_tree, ['gtFine/cityscapes_panoptic_val.json']),
])  # yapf: disable
def test_a_lost_or_cut_json_is_written_again(tmp_path, command, split_class,
                                             make_tree, names):
    make_tree(tmp_path)
    assert command(split_class, tmp_path)[0] == 0
    before = snapshot(tmp_path)
    for name in names:
        for text in (None, before[name][1][:-1], b'[]'):
            (tmp_path / name).unlink()
            if text is not None:
                (tmp_path / name).write_bytes(text)
            status, said = command(split_class, tmp_path, '--check')
            assert status == 1
            assert f'JSONs missing or corrupt: 1 ({tmp_path / name})' in said
            assert command(split_class, tmp_path)[0] == 0
            after = snapshot(tmp_path)
            assert contents(tmp_path) == {
                n: data for n, (_, data) in before.items()
            }  # yapf: disable
            assert not any(
                n.endswith('.png') and before[n] != after[n] for n in before)


def test_one_more_image_is_added(tmp_path, command):
    ade20k_tree(tmp_path, number=3)
    extra = [
        path for path in tmp_path.rglob('*') if 'ADE_val_00000003' in path.name
    ]
    for path in extra:
        path.rename(f'{path}.away')
    assert command(Ade20k, tmp_path)[0] == 0
    for path in extra:
        (path.parent / f'{path.name}.away').rename(path)
    status, said = command(Ade20k, tmp_path)
    assert status == 0
    assert len(read_json(tmp_path / 'ade20k_panoptic_val.json')['images']) == 3
    assert command(Ade20k, tmp_path, '--check')[0] == 0


def test_files_do_not_depend_on_the_number_of_processes(tmp_path):
    for workers in '13':
        root = tmp_path / workers
        cityscapes_tree(root, number=20)
        assert preparation.run(
            Cityscapes, '',
            [str(root), '--splits', 'val', '--workers', workers]) == 0
    assert contents(tmp_path / '1') == contents(tmp_path / '3')


class Slow:
    """Mixed into a data set, slow enough to be stopped in the middle."""

    def make(self, item):
        time.sleep(0.02)
        return super().make(item)


class SlowCoco(Slow, Coco):
    pass


class SlowAde20k(Slow, Ade20k):
    pass


def start(split_class, root):
    """Run a command in a process of its own, and in a group of its own."""

    def run():
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1), os.dup2(null, 2)
        arguments = [str(root), '--splits', 'val', '--workers', '2']
        os._exit(preparation.run(split_class, '', arguments))

    process = get_context('fork').Process(target=run)
    process.start()
    return process


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def stop(process, number):
    os.killpg(process.pid, number)
    process.join(30)


def kill_parent_alone(process, number):
    os.kill(process.pid, number)
    process.join(30)


COCO = SlowCoco, coco_tree, 'panoptic_semseg_val2017/*.png'
ADE20K = SlowAde20k, ade20k_tree, 'ade20k_panoptic_val/*.png'


@pytest.mark.parametrize('split_class, make_tree, pngs, end, number, status', [
    (*COCO, kill_parent_alone, signal.SIGKILL, -signal.SIGKILL),
    (*COCO, stop, signal.SIGINT, 130),
    (*ADE20K, stop, signal.SIGKILL, -signal.SIGKILL),
    (*ADE20K, kill_parent_alone, signal.SIGTERM, -signal.SIGTERM),
], ids=['kill parent', 'keyboard', 'kill', 'terminate'])  # yapf: disable
def test_a_stopped_run_is_gone_on_with(tmp_path, command, split_class,
                                       make_tree, pngs, end, number, status):
    make_tree(tmp_path, number=48)
    process = start(split_class, tmp_path)
    wait_for(lambda: len(list(tmp_path.glob(pngs))) >= 24)
    end(process, number)
    assert process.exitcode == status
    # No process of the group is left.
    wait_for(lambda: not alive(process.pid))

    made = list(tmp_path.glob(pngs))
    assert 24 <= len(made) < 48
    assert all(map(is_whole_png, made))
    assert not list(tmp_path.glob('ade20k*.json'))
    before = snapshot(tmp_path)
    status, said = command(split_class, tmp_path)
    assert status == 0, said
    assert ' images needed nothing' in said
    assert int(said.split(' images made')[0].split()[-1]) < 48
    after = snapshot(tmp_path)
    assert all(after[name] == before[name] for name in before
               if name.endswith('.png'))
    assert not any('unfinished' in name or 'journal' in name for name in after)
    assert command(split_class, tmp_path, '--check')[0] == 0


def alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


class Deadly(Coco):
    """A data set whose second image kills the process that reads it."""

    def make(self, item):
        if item.name.endswith('2.png') and os.getpid() != self.parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().make(item)


def test_a_killed_process_is_told(tmp_path, command, monkeypatch):
    coco_tree(tmp_path)
    monkeypatch.setattr(Deadly, 'parent', os.getpid(), raising=False)
    status, said = command(Deadly, tmp_path)
    assert status == 2
    assert 'error: a process was killed (too little memory for --workers 2?)' \
        in said


def test_a_full_disk_is_told(tmp_path, command, monkeypatch):
    coco_tree(tmp_path)

    def write(path, pixels):
        raise OSError(28, 'No space left on device', str(path))

    monkeypatch.setattr(preparation, 'write_png', write)
    status, said = command(Coco, tmp_path)
    assert status == 2
    assert 'error: [Errno 28] No space left on device: ' in said


@pytest.mark.parametrize('options, message', [
    (['--workers', '0'], '0 is too small: give 1 or more'),
    (['--splits', 'minival'], "invalid choice: 'minival'"),
])  # yapf: disable
def test_wrong_arguments(tmp_path, command, options, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        preparation.run(Coco, '', [str(tmp_path), *options])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_command_line(tmp_path):
    """One command as a process: its name, streams and exit status."""
    coco_tree(tmp_path)
    (tmp_path / 'val2017/000000000002.jpg').unlink()
    tool = ROOT / 'tools/dataset_converters/coco.py'
    run = subprocess.run([sys.executable, tool, tmp_path, '--splits', 'val'],
                         capture_output=True,
                         text=True,
                         cwd=tmp_path)
    assert run.returncode == 1
    first, second = run.stdout.splitlines()
    assert first == 'val: 2 of 5000 images, a subset'
    assert re.fullmatch(r'val: 2 images made in [\d.]+ s, [\d.]+ images/s',
                        second)
    assert run.stderr == (f'coco.py: val: images missing in {tmp_path}/val2017'
                          ': 1 (000000000002.jpg)\n')
