"""tools/setup_env.sh: which environments it takes, and how it fails."""
import os
import subprocess
import sys

import pytest
from packaging.requirements import Requirement


@pytest.fixture
def setup_env(root, tmp_path):
    """Run the script on an environment in tmp_path; return the process."""

    def run(**variables):
        return subprocess.run(
            ['bash', str(root / 'tools' / 'setup_env.sh')],
            env={
                **os.environ, 'ONEFORMER_VENV': str(tmp_path / 'venv'),
                **variables
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120)

    return run


def write_script(path, text):
    path.write_text(f'#!/bin/sh\n{text}\n')
    path.chmod(0o755)
    return str(path)


def assert_fails_with_one_line(process, *words):
    assert process.returncode == 1
    assert process.stdout == ''
    last = process.stderr.splitlines()[-1]
    assert last.startswith('oneformer: ')
    for word in words:
        assert word in last
    assert 'Traceback' not in process.stderr


@pytest.mark.parametrize('version', ['3.9', '3.13'])
def test_unsupported_python(setup_env, tmp_path, version):
    old = write_script(
        tmp_path / 'python', f"""
case "$2" in *print*) echo {version} ;; *) exit 1 ;; esac""")
    done = setup_env(PYTHON=old)
    assert_fails_with_one_line(done, f'Python {version}', '3.10, 3.11 or 3.12')
    assert len(done.stderr.splitlines()) == 1


def test_python_that_does_not_start(setup_env, tmp_path):
    done = setup_env(PYTHON=str(tmp_path / 'nowhere' / 'python3.11'))
    assert_fails_with_one_line(done, 'does not start')


def test_no_python_at_all(setup_env, tmp_path):
    """Commands that exist but do not start, as pyenv's shims, are passed."""
    for name in ('python3', 'python3.10', 'python3.11', 'python3.12'):
        write_script(tmp_path / name, 'exit 127')
    done = setup_env(PATH=f'{tmp_path}:{os.environ["PATH"]}', PYTHON='')
    assert_fails_with_one_line(done, 'was found', 'PYTHON=')


def test_python_without_venv(setup_env, tmp_path):
    bare = write_script(
        tmp_path / 'python', f"""
case "$2" in *ensurepip*) exit 1 ;; esac
exec {sys.executable} "$@" """)
    assert_fails_with_one_line(setup_env(PYTHON=bare), 'python3-venv')


def test_foreign_folder_is_not_touched(setup_env, tmp_path):
    precious = tmp_path / 'venv' / 'thesis.tex'
    precious.parent.mkdir()
    precious.write_text('text')
    assert_fails_with_one_line(setup_env(), 'ONEFORMER_VENV')
    assert precious.read_text() == 'text'


def test_failed_download_leaves_nothing_that_fits(setup_env, tmp_path):
    """The second run tries again instead of taking the half-made folder."""
    offline = dict(
        PYTHON=getattr(sys, '_base_executable', sys.executable),
        PIP_CONFIG_FILE=os.devnull,
        PIP_INDEX_URL='http://127.0.0.1:9/simple',
        PIP_EXTRA_INDEX_URL='',
        PIP_FIND_LINKS='',
        PIP_RETRIES='0')
    for _ in range(2):
        done = setup_env(**offline)
        assert_fails_with_one_line(done, 'download failed',
                                   'oneformer-setup.log')
    assert (tmp_path / 'venv' / 'oneformer-setup.log').stat().st_size > 0


def test_pins_are_within_the_accepted_ranges(root):
    listed = subprocess.run([
        sys.executable,
        str(root / 'tools' / 'check_env.py'), '--requirements'
    ],
                            capture_output=True,
                            text=True,
                            check=True).stdout
    lines = (root / 'requirements' / 'tested.txt').read_text().splitlines()
    pins = map(Requirement,
               filter(None, (line.partition('#')[0] for line in lines)))
    pinned = {pin.name: str(pin.specifier)[2:] for pin in pins}
    for requirement in map(Requirement, listed.split()):
        assert requirement.specifier.contains(pinned[requirement.name])
