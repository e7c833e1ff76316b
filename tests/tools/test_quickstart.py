"""The quickstart reaches its numbers, and its tasks differ as they should."""
import json
import re
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT

CONFIG = 'configs/shapes/oneformer_r18_1xb8-1200_shapes-128x128.py'
WORK_DIR = 'work_dirs/quickstart'


def run(folder, *command):
    return subprocess.run(
        command, cwd=folder, check=True, text=True,
        stdout=subprocess.PIPE).stdout


@pytest.fixture(scope='module')
def quickstart(tmp_path_factory):
    """A copy of the project in which the quickstart was run; its output."""
    folder = tmp_path_factory.mktemp('quickstart') / 'project'
    ignored = shutil.ignore_patterns('.git', '.venv*', 'work_dirs', 'data',
                                     '__pycache__')
    shutil.copytree(ROOT, folder, ignore=ignored)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('ONEFORMER_VENV', sys.prefix)
        patch.delenv('OMP_NUM_THREADS', raising=False)
        return folder, run(folder, 'bash', 'tools/quickstart.sh')


@pytest.mark.slow
def test_numbers_and_pictures(quickstart):
    folder, output = quickstart
    summary, *pictures = output[output.rindex('\nPQ '):].split('\n')[1:-1]
    numbers = re.fullmatch(r'PQ ([\d.]+) AP ([\d.]+) mIoU ([\d.]+)', summary)
    pq, ap, miou = map(float, numbers.groups())
    assert pq >= 55 and ap >= 30 and miou >= 75
    assert len(pictures) == 7
    assert all((folder / picture).stat().st_size > 0 for picture in pictures)


@pytest.mark.slow
def test_tasks_differ_by_their_token(quickstart):
    folder, _ = quickstart
    checkpoint = (folder / WORK_DIR / 'last_checkpoint').read_text().strip()
    run(folder, sys.executable, 'tools/test.py', CONFIG, checkpoint,
        '--task-table', '--work-dir', 'work_dirs/table')
    table = json.loads(
        (folder / 'work_dirs/table/task_table.json').read_text())['results']
    assert table['semantic']['AP'] <= table['instance']['AP'] - 10
    assert table['instance']['PQ_st'] < 10
