"""Configs written for annotations: they load, train, and say what is wrong."""
import argparse
import importlib.util
import sys

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from projects.oneformer.apis import load_config
from projects.oneformer.apis.checks import check_evaluators
from tests.helpers import (CATEGORIES, make_samples, write_instance_dataset,
                           write_panoptic_dataset, write_semantic_dataset)

WRITE = dict(
    panoptic=write_panoptic_dataset,
    instance=write_instance_dataset,
    semantic=write_semantic_dataset)
ANNOTATION = dict(
    panoptic='panoptic_{}.json',
    instance='instances_{}.json',
    semantic='semantic_{}')
CLASSES = ['--classes', 'sky', 'car', 'road', 'hot dog']


@pytest.fixture(scope='module')
def tool(root):
    spec = importlib.util.spec_from_file_location(
        'tools_write_config', root / 'tools/write_config.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(tool, monkeypatch, capsys, tmp_path):
    """Run the tool in an empty folder; what it prints, or its error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['write_config.py', *arguments])
        try:
            tool.main()
        except SystemExit as end:
            assert end.code == 2
            error = capsys.readouterr().err
            assert error.startswith('write_config.py: error: ')
            assert error.count('\n') == 1
            return error
        return capsys.readouterr().out

    return run


def arguments_for(kind, out='out.py', val=True):
    """Write a data set into data/mine/; the command line for it."""
    for split in ('train', 'val'):
        WRITE[kind]('data/mine', make_samples(3, (80, 100)), split=split)
    folder = f'data/mine/{ANNOTATION[kind]}'
    arguments = [folder.format('train'), '--images', 'data/mine/train']
    if val:
        arguments += ['--val', folder.format('val')]
        arguments += ['--val-images', 'data/mine/val']
    if kind == 'semantic':
        arguments += CLASSES
    return [*arguments, '--out', out]


@pytest.mark.parametrize('kind, tasks, counts', [
    ('panoptic', {'panoptic', 'instance', 'semantic'}, (2, 2)),
    ('instance', {'instance'}, (2, 0)),
    ('semantic', {'semantic'}, (0, 4)),
])
def test_config_trains(run, kind, tasks, counts):
    told = run(*arguments_for(kind), '--model', 'small', '--batch-size', '2',
               '--iterations', '1')
    assert 'out.py: 3 images of ' in told
    assert 'python tools/train.py out.py' in told
    text = open('out.py').read()
    assert len(text.splitlines()) < 65
    # a path is as long as it is
    assert all(
        len(line) < 80 or line.endswith(".py',") for line in text.splitlines())
    cfg = load_config('out.py', dict(randomness=dict(seed=0)))
    assert (cfg.model.num_things_classes,
            cfg.model.num_stuff_classes) == counts
    assert set(cfg.model.test_cfg.tasks) == tasks
    for split in ('val', 'test'):
        check_evaluators(cfg, split)
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.update(num_workers=0, persistent_workers=False)
    cfg.merge_from_dict(
        dict(
            visualizer=None,
            experiment_name=f'written {kind}',
            log_level='ERROR',
            test_dataloader=cfg.val_dataloader))
    cfg.default_hooks.pop('visualization')
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.iter == 1
    losses = runner.message_hub.get_scalar('train/loss').data[0]
    assert np.isfinite(losses).all()
    best = runner.message_hub.log_scalars
    assert {key.split('/')[1]
            for key in best if key.startswith('val/')} >= tasks


def test_without_validation(run):
    run(*arguments_for('semantic', val=False), '--model', 'swin-t')
    cfg = Config.fromfile('out.py')
    for name in ('dataloader', 'evaluator', 'cfg'):
        assert cfg[f'val_{name}'] is None and cfg[f'test_{name}'] is None
    assert cfg.model.backbone.type == 'OneFormerSwinTransformer'
    assert cfg.train_dataloader.dataset.categories[3] == 'hot dog'


def test_sizes_follow_the_data(run, tmp_path):
    run(*arguments_for('panoptic'))
    cfg = Config.fromfile('out.py')
    pipeline = {t.type: t for t in cfg.train_dataloader.dataset.pipeline}
    assert pipeline['RandomCrop'].crop_size == (64, 64)
    assert pipeline['RandomChoiceResize'].scales[0] == (256, 32)
    assert list(pipeline)[1] == 'LoadPanopticMap'
    assert cfg.val_dataloader.dataset.pipeline[1].scale == (256, 64)
    assert cfg.train_cfg.max_iters == cfg.param_scheduler.end == 1000
    run(*arguments_for('panoptic', 'more/large.py'), '--crop-size', '512',
        '--iterations', '50')
    cfg = Config.fromfile('more/large.py')
    pipeline = cfg.train_dataloader.dataset.pipeline
    base = Config.fromfile(cfg.filename).train_pipeline
    assert pipeline == base and pipeline[3].crop_size == (512, 512)
    assert (cfg.train_cfg.max_iters, cfg.train_cfg.val_interval) == (50, 5)
    assert 'train_pipeline' not in (tmp_path / 'more/large.py').read_text()


def test_from_a_checkpoint(run):
    torch.save(
        dict(state_dict={
            'panoptic_head.query_embed.weight': torch.zeros(150, 256)
        }), 'coco.pth')
    run(*arguments_for('panoptic'), '--model', 'swin-l', '--load-from',
        'coco.pth')
    cfg = Config.fromfile('out.py')
    assert cfg.load_from == 'coco.pth'
    assert cfg.custom_hooks == [dict(type='NewClassesHook')]
    assert cfg.model.backbone.init_cfg is None
    assert cfg.model.panoptic_head.num_queries == 150
    torch.save(dict(state_dict={}), 'other.pth')
    error = run(*arguments_for('panoptic', 'b.py'), '--load-from', 'other.pth')
    assert 'other.pth has no panoptic_head.query_embed' in error
    error = run(*arguments_for('panoptic', 'b.py'), '--load-from', 'no.pth')
    assert 'no.pth' in error


def test_values(run):
    arguments = arguments_for('semantic')
    run(*arguments, '--values', '3', '1', '2', '0')
    dataset = Config.fromfile('out.py').val_dataloader.dataset
    assert dataset['values'] == {'sky': 3, 'car': 1, 'road': 2, 'hot dog': 0}
    run(*arguments[:-1], 'zero.py', '--values', '1', '2', '3', '4')
    dataset = Config.fromfile('zero.py').train_dataloader.dataset
    assert dataset.reduce_zero_label and 'values' not in dataset
    error = run(*arguments[:-1], 'b.py', '--values', '1', '2')
    assert '--values has 2 numbers, --classes 4 names' in error


def test_classes_from_a_file(run, tmp_path):
    arguments = arguments_for('semantic')
    (tmp_path / 'classes.txt').write_text('\n'.join(CLASSES[1:]))
    at = arguments.index('--classes')
    arguments[at + 1:at + 5] = ['@classes.txt']
    run(*arguments)
    assert Config.fromfile('out.py').categories == CLASSES[1:]


def test_splits_in_one_folder(run, tmp_path):
    samples = make_samples(4, (80, 100))
    for split, part in dict(train=samples[:3], val=samples[3:]).items():
        write_panoptic_dataset('data', part, split=split)
    for path in (tmp_path / 'data/panoptic_val').iterdir():
        path.rename(tmp_path / 'data/panoptic_train' / path.name)
    arguments = [
        'data/panoptic_train.json', '--images', 'data/train', '--val',
        'data/panoptic_val.json', '--val-images', 'data/val', '--val-pngs',
        'data/panoptic_train', '--out', 'out.py'
    ]
    run(*arguments)
    cfg = Config.fromfile('out.py')
    assert cfg.train_dataloader.dataset.allow_unlisted
    assert cfg.val_dataloader.dataset.allow_unlisted
    error = run(*arguments[:3], '--out', 'b.py')
    assert 'no entry for 1 of the panoptic PNGs' in error
    run(*arguments[:3], '--out', 'b.py', '--allow-unlisted')


def test_data_elsewhere(run, tmp_path, monkeypatch):
    arguments = arguments_for('instance')
    (tmp_path / 'work').mkdir()
    monkeypatch.chdir(tmp_path / 'work')
    run(*[a.replace('data/', '../data/') for a in arguments])
    cfg = Config.fromfile('out.py')
    assert cfg.data_root == f'{tmp_path}/data/mine/'
    ann_file = f'{tmp_path}/data/mine/instances_val.json'
    assert cfg.val_evaluator == [
        dict(type='InstanceMetric', ann_file=ann_file)
    ]


def test_more_masks_than_queries(run, tmp_path):
    samples = make_samples(1, (80, 100))
    ids = np.arange(8000).reshape(80, 100) // 20 + 1
    samples[0].update(id_map=ids, segments=[(i, 7, 0) for i in range(1, 401)])
    write_panoptic_dataset('data', samples)
    told = run('data/panoptic_train.json', '--images', 'data/train', '--out',
               'out.py')
    assert 'an image has 400 masks, the model 150 queries' in told


@pytest.mark.parametrize('change, message', [
    (dict(annotation='data/mine/none.json'), 'none.json does not exist'),
    (dict(annotation='data/mine/instances_train.json'),
     'instances_train.json is for InstanceDataset'),
    (dict(annotation='data/mine/semantic_train'), '--classes'),
    (dict(annotation='data/mine/train/image_0.png'), 'is not a JSON file'),
    (dict(images='data/mine/images'), 'folder data/mine/images does not'),
    (dict(images='data/mine'), '3 image files, of which 3 do not exist'),
    (dict(out='data'), '--out data exists'),
    (dict(out='mine.json'), 'must end in .py'),
])
def test_mistakes_are_one_line(run, tmp_path, change, message):
    write_instance_dataset('data/mine')
    write_semantic_dataset('data/mine')
    annotation, _, images, *rest, _, out = arguments_for('panoptic')
    given = dict(annotation=annotation, images=images, out=out)
    given.update(change)
    error = run(given['annotation'], '--images', given['images'], *rest,
                '--out', given['out'])
    assert message in error
    assert not (tmp_path / 'out.py').exists()


def test_other_classes_in_validation(run):
    arguments = arguments_for('panoptic')
    write_panoptic_dataset(
        'data/mine',
        make_samples(3, (80, 100)),
        [*CATEGORIES, dict(id=9, name='cat', isthing=1)],
        split='val')
    assert 'differ in cat' in run(*arguments)


def test_numbers_must_be_positive(tool):
    assert tool.positive('1') == 1
    with pytest.raises(argparse.ArgumentTypeError, match='0 must be 1'):
        tool.positive('0')
