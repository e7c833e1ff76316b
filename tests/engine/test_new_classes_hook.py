"""Training other classes takes all of a checkpoint but what knows classes."""
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from projects.oneformer.apis import complete_config
from tests.checkpoints.small_models import build, small_config, with_classes
from tests.helpers import write_panoptic_dataset

CONFIG = 'configs/finetune/oneformer_swin-l_8xb2-20k_coco-to-custom.py'
NEW = ('panoptic_head.cls_embed', 'panoptic_head.text_mapper',
       'panoptic_head.loss_contrastive')


@pytest.fixture
def checkpoint(tmp_path):
    """A trained model of 7 classes."""
    model = build(with_classes(small_config('swin')))
    path = tmp_path / 'trained.pth'
    torch.save(dict(meta={}, state_dict=model.state_dict()), path)
    return path


@pytest.fixture
def runner(root, tmp_path, checkpoint, monkeypatch):
    """The published way, with a small model and a data set of 4 classes."""
    # formatting the config takes most of a short run
    monkeypatch.setattr(Config, 'pretty_text', property(str))

    def make(**settings):
        cfg = Config.fromfile(root / CONFIG)
        cfg.model = small_config('swin').model
        dataset = write_panoptic_dataset(tmp_path / 'data')
        loader = cfg.train_dataloader
        loader.dataset.update(
            data_root=dataset['data_root'], ann_file='panoptic_train.json')
        loader.update(batch_size=1, num_workers=0, persistent_workers=False)
        cfg.val_dataloader.dataset.update(
            data_root=dataset['data_root'],
            ann_file='panoptic_train.json',
            data_prefix=dict(img='train/', seg='panoptic_train/'))
        cfg.val_dataloader.update(num_workers=0, persistent_workers=False)
        cfg.test_dataloader = cfg.val_dataloader
        cfg.model.train_cfg.num_points = 32
        cfg.merge_from_dict(
            dict(
                work_dir=str(tmp_path / 'run'),
                load_from=str(checkpoint),
                experiment_name=tmp_path.name + str(len(settings)),
                log_level='ERROR',
                train_cfg=dict(max_iters=1, val_interval=10),
                optim_wrapper=dict(optimizer=dict(lr=0.))))
        cfg.merge_from_dict(settings)
        return Runner.from_cfg(complete_config(cfg))

    return make


def test_all_but_classifier_and_text_mapper_is_loaded(runner, checkpoint):
    trained = torch.load(checkpoint)['state_dict']
    runner = runner()
    runner.train()
    for name, tensor in runner.model.state_dict().items():
        same = tensor.shape == trained[name].shape and torch.equal(
            tensor, trained[name])
        if name.startswith(NEW):
            # norms and biases may start as they were
            assert not same or tensor.dim() < 2, name
        elif not name.endswith(('running_mean', 'running_var')):
            assert same, name
    assert len(runner.model.panoptic_head.cls_embed.bias) == 5


def test_text_mapper_is_kept_when_asked(runner, checkpoint):
    trained = torch.load(checkpoint)['state_dict']
    runner = runner(
        custom_hooks=[dict(type='NewClassesHook', keep_text_mapper=True)])
    runner.train()
    state = runner.model.state_dict()
    kept = [name for name in state if name.startswith(NEW[1:])]
    assert len(kept) > 10
    assert all(torch.equal(state[name], trained[name]) for name in kept)
    assert len(runner.model.panoptic_head.cls_embed.bias) == 5


def test_what_was_trained_is_tested_and_resumed_whole(runner, tmp_path):
    first = runner()
    first.train()
    trained = {k: v.clone() for k, v in first.model.state_dict().items()}
    path = str(tmp_path / 'run/iter_1.pth')
    resumed = runner(load_from=path, resume=True, train_cfg=dict(max_iters=2))
    resumed.train()
    tested = runner(load_from=path, test_evaluator=[])
    tested.load_or_resume()
    for other in (resumed, tested):
        for name, tensor in other.model.state_dict().items():
            assert torch.equal(tensor, trained[name]), name


def test_without_the_hook_another_class_count_is_refused(runner):
    with pytest.raises(ValueError, match='knows 7 classes, the model 4'):
        runner(custom_hooks=[]).train()


def test_the_config_builds(root):
    cfg = Config.fromfile(root / CONFIG)
    cfg.model.update(num_things_classes=2, num_stuff_classes=2)
    init_default_scope('mmdet')
    with torch.device('meta'):
        assert cfg.model.panoptic_head.num_queries == 150
        assert MODELS.get(cfg.model.type).__name__ == 'OneFormer'
