"""Counting from the command line."""
import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from mmengine.config import Config

from projects.oneformer.analysis import complexity
from tests.models import tiny

TOOL = Path(__file__).parents[2] / 'tools/analysis_tools/get_flops.py'


@pytest.fixture(scope='module')
def tool():
    spec = spec_from_file_location('get_flops', TOOL)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'config.py'
    Config(dict(model=tiny.tiny_config())).dump(path)
    return str(path)


@pytest.fixture
def run(tool, monkeypatch, capsys):
    """Call the tool with arguments: its exit status, output and errors."""

    def call(*args):
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, args)])
        status = 0
        try:
            tool.main()
        except SystemExit as stop:
            status = stop.code
        return (status, *capsys.readouterr())

    return call


def numbers(output, name):
    """Those of the line that begins with a name."""
    line, = re.findall(rf'^{name} .*$', output, re.M)
    return [float(number) for number in re.findall(r'\d+\.\d+', line)]


def test_ends_with_the_total_of_network_and_post_processing(run, config):
    status, output, _ = run(config, '--shape', 512, 640)
    assert status == 0
    result = complexity(Config.fromfile(config), (512, 640))
    total = result.official.total / 1e9
    assert output.splitlines()[-1] == f'total: {total:.2f} G'
    ways = result.official, result.one_task, result.three_tasks
    for name, part in (('backbone', 'backbone'), ('network', 'network'),
                       ('post processing', 'post_processing'), ('total',
                                                                'total')):
        # a table of parameters stands before, its last line a number
        shown = numbers(output.partition('multiply-adds')[2], name)
        assert shown == pytest.approx(
            [getattr(way, part) / 1e9 for way in ways], abs=0.005)
    assert numbers(output, 'with text mapper') == pytest.approx(
        [result.parameters.total / 1e6], abs=0.005)
    assert 'not counted' not in output


def test_output_shape_and_config_options(run, config):
    small = run(config, '--shape', 256, 256)[1]
    large = run(config, '--shape', 256, 256, '--output-shape', 512, 512)[1]
    assert numbers(large, 'network') == numbers(small, 'network')
    assert numbers(large, 'post processing') > numbers(small,
                                                       'post processing')
    more = run(config, '--shape', 256, 256, '--cfg-options',
               'model.panoptic_head.num_queries=100',
               'model.panoptic_head.text_mapper.num_texts=97')[1]
    assert numbers(more, 'network') > numbers(small, 'network')


def test_mean_over_coco(run, config, tool, monkeypatch):
    monkeypatch.setattr(tool.analysis, 'coco_complexity',
                        lambda cfg: complexity(cfg, (64, 64)))
    assert run(config, '--coco') == run(config, '--shape', 64, 64)


def test_what_was_not_counted_is_said(tool):
    result = complexity(Config(dict(model=tiny.tiny_config())), (64, 64))
    text = tool.report(result._replace(uncounted={'mmcv.some_op': 3}))
    assert 'not counted: mmcv.some_op, 3 calls\n' in text


@pytest.mark.parametrize('args, message', [
    (['--shape', 0, 64], 'shape is 0 x 64'),
    (['--shape', 64, 64, '--output-shape', 64, -1], 'output shape is 64 x -1'),
    ([], 'one of the arguments --shape --coco is required'),
    (['--coco', '--shape', 64, 64], 'not allowed with argument --coco'),
    (['--coco', '--output-shape', 64, 64], 'does not go with --coco'),
    (['--shape', 64, 64, '--cfg-options', 'model.num_things_classes=None'
      ], 'num_things_classes is not given'),
    (['--shape', 64, 64, '--cfg-options', 'model.type=DETR'
      ], "model.type is 'DETR'"),
])
def test_wrong_arguments_are_named_in_a_line(run, config, args, message):
    status, output, errors = run(config, *args)
    assert status == 2 and not output
    assert errors.splitlines()[-1].startswith('get_flops.py: error: ')
    assert message in errors.splitlines()[-1]


def test_runs_as_a_script_and_names_a_missing_config(tmp_path):
    done = subprocess.run(
        [sys.executable,
         str(TOOL), 'nowhere.py', '--shape', '64', '64'],
        capture_output=True,
        text=True,
        cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == ('get_flops.py: error: config nowhere.py does not '
                           'exist\n')
