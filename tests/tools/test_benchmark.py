"""The benchmark tools run as documented; here at sizes of seconds."""
import json
import re
import subprocess
import sys

import numpy as np
import pytest

TOOLS = 'tools/analysis_tools'
SMALL = ['--threads', '1', '--rounds', '1', '--image-size', '64']


@pytest.fixture
def run(root):

    def run(tool, *arguments, status=0):
        done = subprocess.run(
            [sys.executable, f'{TOOLS}/{tool}', *map(str, arguments)],
            cwd=root,
            capture_output=True,
            text=True)
        assert done.returncode == status, done.stderr
        return done

    return run


@pytest.fixture
def network(root, monkeypatch):
    monkeypatch.syspath_prepend(str(root / TOOLS))
    from benchmarks import network
    return network


def test_a_query_may_differ_by_rounding_and_no_more(network):
    theirs = [np.ones((1, 100, 5)), np.ones((1, 100, 4, 4))]
    ours = [x + 1e-6 for x in theirs]
    ours[1][0, 7, 2, 3] += 1e-3
    assert network.close(ours, theirs).startswith('logits of 99.0%')
    ours[1][0, 7, 2, 3] += 0.1
    with pytest.raises(network.BenchmarkError, match='worst by 1.0e-01'):
        network.close(ours, theirs)
    ours = [x + 1e-4 for x in theirs]
    with pytest.raises(network.BenchmarkError, match='only 0.0%'):
        network.close(ours, theirs)


def test_unknown_case_is_one_line(run):
    error = run('benchmark.py', 'training', status=2).stderr
    assert "case 'training' is unknown: choose from forward," in error


@pytest.mark.slow
def test_cases_are_measured(run, tmp_path):
    cases = ['three-for-one', 'train-mask2former', 'text-mapper', 'losses']
    told = run('benchmark.py', *cases, *SMALL, '--queries', 20, '--objects', 3,
               '--out', tmp_path).stdout
    assert re.search(r'float32 matrix product: \d+ GFLOP/s', told)
    table = (tmp_path / 'benchmark.md').read_text().splitlines()
    assert [row.split()[1] for row in table[2:]] == [f'{c}:' for c in cases]
    content = json.loads((tmp_path / 'benchmark.json').read_text())
    for case in cases:
        for side in ('ours', 'peer'):
            measured = content['cases'][case][side]
            assert len(measured['seconds']) == 1 and measured['gflop'] > 0
    assert 'outputs and gradients within' in table[-2]
    assert 'outputs and gradients differ by' in table[-1]


@pytest.mark.slow
@pytest.mark.parametrize('mode', ['--compile', '--autocast=bfloat16'])
def test_modes(run, mode):
    told = run('benchmark.py', 'three-for-one', *SMALL, '--queries', 20,
               mode).stdout
    assert '| three-for-one' in told


@pytest.mark.slow
def test_parts_are_profiled(run, tmp_path):
    out = tmp_path / 'profile.md'
    run('profile_parts.py', *SMALL, '--out', out)
    rows = out.read_text().splitlines()
    for part in ('backbone', 'pixel decoder', 'query formation',
                 'mask decoder', 'matching', 'text mapper', 'backward',
                 'post-processing, semantic'):
        assert any(row.startswith(f'| {part} |') for row in rows), part
    shares = [
        int(row.split('|')[3].strip(' %')) for row in rows
        if re.match(r'\| .* \| \d+% \| \d', row) and '| all |' not in row
    ]
    assert all(0 <= share <= 100 for share in shares)
