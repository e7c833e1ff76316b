"""What is refused before a run: evaluators, weights and classes."""
import pytest
import torch
from mmengine.config import Config

from projects.oneformer.apis import (check_checkpoint_file, check_evaluators,
                                     check_initial_weights,
                                     check_training_tasks)
from projects.oneformer.apis.checks import check_same_classes
from projects.oneformer.checkpoints import CheckpointError

PANOPTIC = dict(type='PanopticQualityMetric')
INSTANCE = dict(type='InstanceMetric')
SEMANTIC = dict(type='SemanticMetric')


def make_config(evaluators, dataset='PanopticDataset', tasks=None, **keys):
    dataset = dict(type=dataset) if isinstance(dataset, str) else dataset
    test_cfg = {} if tasks is None else dict(tasks=tasks)
    return Config(
        dict(
            model=dict(type='OneFormer', test_cfg=test_cfg, **keys),
            val_dataloader=dict(dataset=dataset),
            val_evaluator=evaluators))


def check(*args, **kwargs):
    check_evaluators(make_config(*args, **kwargs), 'val')


def training(*kinds, tasks=None, **keys):
    return Config(
        dict(
            model=dict(test_cfg={} if tasks is None else dict(tasks=tasks)),
            train_dataloader=dict(
                dataset=dict(
                    type='MixedDataset',
                    datasets=[dict(type=kind) for kind in kinds])),
            **keys))


def test_what_is_asked_must_be_taught():
    check_training_tasks(training('PanopticDataset'))
    check_training_tasks(
        training('InstanceDataset', 'SemanticDataset', 'PanopticDataset'))
    check_training_tasks(training('InstanceDataset', tasks=('instance', )))
    # unknown to us, or learnt before
    check_training_tasks(training('CocoDataset'))
    check_training_tasks(training('InstanceDataset', load_from='x.pth'))
    with pytest.raises(
            ValueError,
            match='the panoptic task, which no .*'
            r'\(InstanceDataset\) can teach: .* only instance'):
        check_training_tasks(training('InstanceDataset'))
    with pytest.raises(ValueError, match='the panoptic task'):
        check_training_tasks(training('InstanceDataset', 'SemanticDataset'))


def test_evaluators_that_can_be_served():
    check([PANOPTIC, INSTANCE, SEMANTIC])
    check(SEMANTIC, 'SemanticDataset')
    check([dict(INSTANCE, ann_file='instances.json')], 'InstanceDataset')
    check([PANOPTIC, SEMANTIC], tasks=('panoptic', 'semantic'))
    original = dict(
        INSTANCE, ann_file='instances.json', prefix='instance_original')
    check([INSTANCE, original, dict(type='CityscapesInstanceMetric')])
    # Not of this project, and unknown.
    check([dict(type='CocoMetric')], 'CocoDataset')
    check([PANOPTIC], 'CocoPanopticDataset')
    check_evaluators(Config(dict(model=dict(), val_evaluator=None)), 'val')


@pytest.mark.parametrize('evaluator, dataset, words', [
    (PANOPTIC, 'InstanceDataset', 'PanopticQualityMetric of val_evaluator '
     'measures the panoptic task, which the annotation of InstanceDataset in '
     'val_dataloader cannot answer: it answers instance'),
    (SEMANTIC, 'InstanceDataset', 'the semantic task, .* InstanceDataset'),
    (INSTANCE, 'SemanticDataset', 'the instance task, .* SemanticDataset'),
    (INSTANCE, 'InstanceDataset', 'give the metric its ann_file'),
    (PANOPTIC,
     dict(
         type='ConcatDataset',
         datasets=[
             dict(type='PanopticDataset'),
             dict(type='RepeatDataset', dataset=dict(type='SemanticDataset'))
         ]), 'annotation of SemanticDataset'),
])
def test_an_annotation_that_cannot_answer(evaluator, dataset, words):
    with pytest.raises(ValueError, match=words):
        check([evaluator], dataset)


def test_a_task_that_the_model_is_not_asked():
    with pytest.raises(
            ValueError, match=r'instance task, which .*\(panoptic, semantic'):
        check([INSTANCE], tasks=('panoptic', 'semantic'))


def test_two_evaluators_of_one_name():
    with pytest.raises(ValueError, match='twice with the prefix None'):
        check([INSTANCE, dict(INSTANCE, ann_file='instances.json')])


def test_checkpoint_files(tmp_path):
    path = tmp_path / 'model.pth'
    check_checkpoint_file('https://somewhere/model.pth')
    with pytest.raises(FileNotFoundError, match='model.pth does not exist'):
        check_checkpoint_file(str(path))
    torch.save(dict(weight=torch.zeros(300)), path)
    check_checkpoint_file(str(path))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match='model.pth cannot be read'):
        check_checkpoint_file(str(path))
    torch.save(
        dict(weight=torch.zeros(3)),
        path,
        _use_new_zipfile_serialization=False)
    check_checkpoint_file(str(path))


def test_initial_weights(tmp_path):
    path = str(tmp_path / 'backbone.pth')
    pretrained = dict(type='Pretrained', checkpoint=path)
    cfg = make_config([], backbone=dict(init_cfg=[pretrained]))
    with pytest.raises(
            FileNotFoundError,
            match=r'backbone.pth of model.backbone.init_cfg\[0\] do not'):
        check_initial_weights(cfg)
    torch.save(dict(weight=torch.zeros(3)), path)
    check_initial_weights(cfg)
    cfg.load_from = str(tmp_path / 'model.pth')
    with pytest.raises(FileNotFoundError, match='model.pth of load_from'):
        check_initial_weights(cfg)
    pretrained['checkpoint'] = 'torchvision://resnet50'
    check_initial_weights(make_config([], backbone=dict(init_cfg=pretrained)))


def metainfo(*classes, things=1):
    return dict(
        classes=classes,
        thing_classes=classes[:things],
        stuff_classes=classes[things:])


def test_classes_of_data_sets():
    cfg = make_config([], num_things_classes=1, num_stuff_classes=2)
    metainfos = dict(
        train_dataloader=metainfo('cat', 'sky', 'sea'),
        val_dataloader=metainfo('cat', 'sky', 'sea'),
        test_dataloader=dict(classes=('other', )))
    check_same_classes(cfg, metainfos)
    metainfos['val_dataloader'] = metainfo('cat', 'sea', 'sky')
    with pytest.raises(
            ValueError,
            match="in 2 classes: label 1 is 'sky' in train_dataloader, 'sea'"):
        check_same_classes(cfg, metainfos)
    metainfos['val_dataloader'] = metainfo('cat', 'sky', 'sea', things=2)
    with pytest.raises(
            ValueError, match='1 thing and 2 stuff .* val_dataloader 2 and 1'):
        check_same_classes(cfg, metainfos)
