"""Sheets of what each task makes of training images."""
import importlib.util
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from tests.helpers import (CATEGORIES, make_samples, write_instance_dataset,
                           write_panoptic_dataset, write_semantic_dataset)

TOOL = Path(__file__).parents[2] / 'tools/analysis_tools/browse_dataset.py'
SIDE = 440  # of a picture on a sheet


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location('browse_dataset', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pipeline(loader):
    return [
        dict(type='LoadImageFromFile'),
        dict(type=loader),
        dict(type='RandomCrop', crop_size=(40, 40)),
        dict(type='TaskSampling'),
        dict(type='PackDetInputs', meta_keys=('task', 'texts'))
    ]


def panoptic(root, samples=None):
    dataset = write_panoptic_dataset(root, samples or make_samples(5))
    return dict(dataset, pipeline=pipeline('LoadPanopticMap'))


def mixed(root):
    """Images of each kind of annotation, with the same classes."""
    parts = [panoptic(root / 'panoptic')]
    for kind, write in (('Instance', write_instance_dataset),
                        ('Semantic', write_semantic_dataset)):
        dataset = write(root / kind, make_samples(3))
        dataset.pop('categories', None)
        parts.append(dict(dataset, pipeline=pipeline(f'Load{kind}Map')))
    return dict(type='MixedDataset', datasets=parts, categories=CATEGORIES)


@pytest.fixture
def run(tool, monkeypatch, capsys, tmp_path):
    """Sheets by name, and lines that are printed."""

    def run(dataset, *arguments, split='train'):
        head = dict(num_queries=20, text_mapper=dict(num_context=4))
        Config({
            'model': dict(type='OneFormer', panoptic_head=head),
            f'{split}_dataloader': dict(dataset=dataset)
        }).dump(tmp_path / 'config.py')
        out = tmp_path / 'new/sheets'
        monkeypatch.setattr(sys, 'argv', [
            'browse_dataset.py',
            str(tmp_path / 'config.py'), '--out',
            str(out), *arguments
        ])
        tool.main()
        sheets = {path.stem: cv2.imread(str(path)) for path in out.iterdir()}
        return sheets, capsys.readouterr().out.splitlines()

    return run


def test_sheets_of_images_spread_over_all(run, tmp_path):
    sheets, lines = run(panoptic(tmp_path), '--num', '3')
    assert sorted(sheets) == ['image_0', 'image_2', 'image_4']
    assert lines[-1] == f'picture: {tmp_path}/new/sheets/image_4.png'
    for sheet in sheets.values():
        assert sheet.shape[1] // SIDE == 4
        assert SIDE < sheet.shape[0] < 2 * SIDE


def test_an_image_has_one_sheet_in_every_run(run, tmp_path):
    first, again, other = (
        run(panoptic(tmp_path), '--tasks', 'semantic',
            *arguments)[0]['image_4']
        for arguments in (('--num', '2'), ('--num', '3'), ('--num', '2',
                                                           '--seed', '7')))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_images_of_each_data_set_with_their_tasks(run, tmp_path):
    sheets, lines = run(mixed(tmp_path), '--num', '2')
    assert len(lines) == 6
    # images of the same name are told apart by their folders
    assert {
        name: sheet.shape[1] // SIDE
        for name, sheet in sheets.items()
    } == {
        'panoptic_train_image_0': 4,
        'panoptic_train_image_4': 4,
        'Instance_train_image_0': 2,
        'Instance_train_image_2': 2,
        'Semantic_train_image_0': 2,
        'Semantic_train_image_2': 2
    }


def test_data_sets_that_cannot_answer_are_left_out(run, tmp_path):
    sheets, _ = run(mixed(tmp_path), '--tasks', 'semantic', '--num', '1')
    assert set(sheets) == {'Semantic_train_image_0', 'panoptic_train_image_0'}


def test_validation_data(run, tmp_path):
    dataset = dict(
        write_panoptic_dataset(tmp_path, split='val'),
        test_mode=True,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='PackDetInputs', meta_keys=('img_path', ))
        ])
    sheets, _ = run(dataset, '--split', 'val', split='val')
    assert sorted(sheets) == ['image_0', 'image_1', 'image_2']


def test_number_of_texts(tool, root):
    name = 'oneformer_r18_1xb8-1200_shapes-128x128'
    folder = root / 'configs/shapes'
    number = tool.number_of_texts(Config.fromfile(folder / f'{name}.py'))
    assert number == 32
    cfg = Config.fromfile(folder / f'ablations/{name}_no-text-context.py')
    assert tool.number_of_texts(cfg) == 40
    cfg = Config.fromfile(folder / f'ablations/{name}_no-contrastive.py')
    assert tool.number_of_texts(cfg) is None


def fails(run, capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        run(*arguments)
    error = capsys.readouterr().err
    assert ended.value.code == 2 and 'Traceback' not in error
    last = error.splitlines()[-1]
    assert last.startswith('browse_dataset.py: error: ')
    return last


def test_bad_input_is_one_line(run, capsys, tmp_path):
    dataset = panoptic(tmp_path)
    for arguments, words in [
        (['--num', '0'], '--num is 0: at least 1 image is drawn'),
        (['--tasks', 'depth'], "task 'depth' is unknown: choose from"),
        (['--split', 'val'], 'config.py has no val_dataloader'),
        (['--out', f'{tmp_path}/train/image_0.png'], 'image_0.png'),
        (['--cfg-options', 'train_dataloader.dataset.ann_file=x.json'],
         'x.json does not exist'),
    ]:
        assert words in fails(run, capsys, dataset, *arguments)
    (tmp_path / 'train/image_2.png').write_bytes(b'')
    assert 'train/image_2.png cannot be read' in fails(run, capsys, dataset)


def test_tasks_that_no_data_answer(run, capsys, tmp_path):
    dataset = dict(
        write_instance_dataset(tmp_path), pipeline=pipeline('LoadInstanceMap'))
    error = fails(run, capsys, dataset, '--tasks', 'panoptic', 'semantic')
    assert error.endswith(
        'the train data draw no panoptic or semantic task, but instance')
