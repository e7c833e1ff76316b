"""What the documentation shows is right, and runs on small data."""
import shutil

import pytest
from mmdet.registry import DATASETS, HOOKS, METRICS
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope

from tests.docs import workspace
from tests.docs.exceptions import (NOT_EXECUTED, PREPARED, reason_not_executed,
                                   reason_not_run)
from tests.docs.markdown import ROOT, SHELL, blocks, commands, documents

PYTHON = [
    block for document in documents() for block in blocks(document)
    if block.language == 'python'
]
SETTINGS = [
    block for block in PYTHON
    if not (block.path or block.is_script or reason_not_executed(block))
]
#: A config that the settings may complete.
BASE = 'configs/custom/oneformer_r50_8xb2-20k_panoptic-json-512x512.py'
#: Builds the model of a config, which is the first word.
BUILD = '''
import sys
import projects.oneformer
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from projects.oneformer.checkpoints.structure import LinspaceWithValues

cfg = Config.fromfile(sys.argv[0])
init_default_scope(cfg.default_scope)
with torch.device('meta'), LinspaceWithValues():
    MODELS.build(cfg.model)
'''


def name_of(block):
    return f'{block.file}: {block.text.splitlines()[0]}'


def test_languages_are_known():
    known = {'', 'python', *SHELL}
    for document in documents():
        assert {block.language for block in blocks(document)} <= known


@pytest.mark.parametrize('block', PYTHON, ids=name_of)
def test_code_compiles(block):
    if not reason_not_executed(block):
        compile(block.text, block.file, 'exec')


def test_no_exception_is_out_of_date():
    for beginning in NOT_EXECUTED:
        assert any(block.text.startswith(beginning) for block in PYTHON)


@pytest.fixture(scope='module')
def own_data(tmp_path_factory):
    folder = tmp_path_factory.mktemp('own_data')
    workspace.write_own_data(folder / 'data/mine')
    return folder


@pytest.mark.parametrize('block', SETTINGS, ids=name_of)
def test_settings_build(block, own_data, monkeypatch):
    """Data sets, metrics and hooks take the arguments that are shown."""
    monkeypatch.chdir(own_data)
    init_default_scope('mmdet')
    if block.text.startswith('dict('):
        assert len(DATASETS.build(eval(block.text))) == 4
        return
    settings = {}
    exec(block.text, {}, settings)
    cfg = Config.fromfile(ROOT / BASE)
    cfg.merge_from_dict(settings)
    for name in set(settings) & {'val_evaluator', 'test_evaluator'}:
        for metric in cfg[name]:
            METRICS.build(metric)
    hooks = [
        cfg.default_hooks[name] for name in cfg.default_hooks
        if name in settings.get('default_hooks', {})
    ]
    for hook in [*hooks, *settings.get('custom_hooks', [])]:
        HOOKS.build(ConfigDict(hook))


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A workspace with data and a model that has hardly been trained."""
    folder = workspace.make(tmp_path_factory.mktemp('documented'))
    for line in ('tools/dataset_converters/shapes.py data/shapes',
                 f'tools/train.py {workspace.CONFIG} --work-dir WORK_DIR'):
        words = workspace.shortened(['python', *line.split()])
        workspace.run(folder, words)
    last = (folder / 'work_dirs/quickstart/last_checkpoint').read_text()
    (folder / 'work_dirs/mine').mkdir()
    for path in (workspace.CHECKPOINT, 'work_dirs/mine/iter_160000.pth'):
        shutil.copy(folder / last.strip(), folder / path)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize('document', documents())
def test_what_a_document_shows_runs(document, trained):
    """Its files are written, its scripts and commands run, in their order."""
    for block in blocks(document):
        if block.language in SHELL:
            for command in commands(block):
                if not reason_not_run(command):
                    workspace.clear(trained, command.words)
                    workspace.run(trained, workspace.shortened(command.words))
        elif block.path:
            (trained / block.path).parent.mkdir(parents=True, exist_ok=True)
            (trained / block.path).write_text(block.text)
            if block.path.startswith('configs/'):
                workspace.run(trained, [block.path], BUILD)
        elif block.is_script and not reason_not_executed(block):
            code = PREPARED.get(document, '') + block.text
            workspace.run(trained, [document], code)
