"""The command lines that the launch scripts make."""
import os
import subprocess

import pytest


@pytest.fixture
def launch(root, tmp_path):
    """Run a script with python and srun replaced by an echo."""
    for name in ('python', 'srun'):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho {name}\nprintf "<%s>\\n" "$@"\n')
        program.chmod(0o755)

    def run(script, *arguments, **variables):
        return subprocess.run(['bash', root / 'tools' / script, *arguments],
                              env={
                                  **os.environ, 'PATH':
                                  f'{tmp_path}:{os.environ["PATH"]}',
                                  **variables
                              },
                              capture_output=True,
                              text=True)

    return run


def words(process):
    assert process.returncode == 0, process.stderr
    name, *lines = process.stdout.splitlines()
    return name, [line[1:-1] for line in lines]


def test_dist_train(launch, root):
    name, arguments = words(
        launch('dist_train.sh', 'c.py', '4', '--cfg-options', "a='[1, 2]'"))
    assert name == 'python'
    assert arguments == [
        '-m', 'torch.distributed.run', '--nnodes=1', '--node_rank=0',
        '--master_addr=127.0.0.1', '--master_port=29500', '--nproc_per_node=4',
        f'{root}/tools/train.py', 'c.py', '--launcher', 'pytorch',
        '--cfg-options', "a='[1, 2]'"
    ]


def test_dist_test_on_two_machines(launch, root):
    _, arguments = words(
        launch(
            'dist_test.sh',
            'c.py',
            'w.pth',
            '8',
            '--task-table',
            NNODES='2',
            NODE_RANK='1',
            MASTER_ADDR='first',
            PORT='1234'))
    assert arguments[2:7] == [
        '--nnodes=2', '--node_rank=1', '--master_addr=first',
        '--master_port=1234', '--nproc_per_node=8'
    ]
    assert arguments[7:] == [
        f'{root}/tools/test.py', 'c.py', 'w.pth', '--launcher', 'pytorch',
        '--task-table'
    ]


def test_slurm_train(launch, root):
    name, arguments = words(
        launch(
            'slurm_train.sh',
            'gpu',
            'job',
            'c.py',
            'out',
            '--resume',
            GPUS='16',
            SRUN_ARGS='--time=1 -x n1'))
    assert name == 'srun'
    assert arguments == [
        '--partition=gpu', '--job-name=job', '--gres=gpu:8', '--ntasks=16',
        '--ntasks-per-node=8', '--cpus-per-task=5', '--kill-on-bad-exit=1',
        '--time=1', '-x', 'n1', 'python', '-u', f'{root}/tools/train.py',
        'c.py', '--work-dir', 'out', '--launcher', 'slurm', '--resume'
    ]


def test_slurm_test(launch, root):
    _, arguments = words(
        launch('slurm_test.sh', 'gpu', 'job', 'c.py', 'w.pth', GPUS='2'))
    assert arguments[-7:] == [
        'python', '-u', f'{root}/tools/test.py', 'c.py', 'w.pth', '--launcher',
        'slurm'
    ]


@pytest.mark.parametrize(
    'script',
    ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh', 'slurm_test.sh'])
def test_missing_arguments(launch, script):
    process = launch(script, 'c.py')
    assert process.returncode == 2
    assert process.stderr.startswith('usage: ')
