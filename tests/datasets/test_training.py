"""Training on each kind of annotation, with the configs of configs/custom/.
"""
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from projects.oneformer.apis import complete_config
from projects.oneformer.tasks import TASKS
from tests.helpers import (make_samples, write_instance_dataset,
                           write_panoptic_dataset, write_semantic_dataset)
from tests.models.tiny import tiny_config

CATEGORIES = [
    dict(id=1, name='person', isthing=1),
    dict(id=2, name='car', isthing=1),
    dict(id=3, name='road', isthing=0),
    dict(id=4, name='sky', isthing=0),
]
NUM_STEPS = 40


class LossHook(Hook):
    """Keep the loss of every step, the tasks drawn, and the results."""

    def __init__(self):
        self.losses, self.tasks, self.metrics = [], set(), {}

    def after_train_iter(self, runner, batch_idx, data_batch, outputs):
        self.losses.append(float(outputs['loss'].detach()))
        self.tasks |= {sample.task for sample in data_batch['data_samples']}

    def after_val_epoch(self, runner, metrics):
        self.metrics = metrics


def samples(number, seed=0):
    """Rectangles that show their class by their colour."""
    made = make_samples(
        number, (64, 64), CATEGORIES, num_segments=4, seed=seed)
    for sample in made:
        image = np.zeros((64, 64, 3), np.uint8)
        for segment_id, category_id, _ in sample['segments']:
            color = [60 * category_id, 255 - 60 * category_id, 128]
            image[sample['id_map'] == segment_id] = color
        sample['image'] = image
    return made


def by_value(categories, size):
    """Categories at the places of their values, among others."""
    others = [dict(id=-value, name='') for value in range(size)]
    for value, category in categories.items():
        others[value] = category
    return others


def write(folder, kind, categories):
    """The tree that the config of a kind expects, with two splits."""
    writer = dict(
        panoptic=write_panoptic_dataset,
        instance=write_instance_dataset,
        semantic=write_semantic_dataset)[kind]
    for split, number in dict(train=4, val=2).items():
        writer(folder, samples(number), categories, split)


def set_sizes(settings):
    """Take crops of 64 pixels, in place."""
    if isinstance(settings, dict):
        if settings.get('type') == 'RandomChoiceResize':
            settings.scales = [(256, 64), (256, 80)]
        if settings.get('type') == 'RandomCrop':
            settings.crop_size = (64, 64)
        settings = list(settings.values())
    if isinstance(settings, list):
        for value in settings:
            set_sizes(value)


def train(cfg, root):
    """A short run of a tiny model; what the hook kept, and the model."""
    tasks = cfg.model.test_cfg.tasks
    cfg.model = tiny_config()
    cfg.model.test_cfg.tasks = tasks
    for name in ('num_things_classes', 'num_stuff_classes'):
        cfg.model.pop(name)
    cfg.work_dir = str(root / 'work')
    cfg.train_dataloader.update(
        batch_size=2, num_workers=0, persistent_workers=False)
    cfg.val_dataloader.update(num_workers=0, persistent_workers=False)
    cfg.test_dataloader = cfg.val_dataloader
    cfg.train_cfg.update(max_iters=NUM_STEPS, val_interval=NUM_STEPS)
    cfg.param_scheduler.end = NUM_STEPS
    cfg.optim_wrapper.optimizer.lr = 2e-3
    cfg.optim_wrapper.paramwise_cfg.backbone_lr_mult = 1.
    cfg.randomness = dict(seed=0)
    cfg.default_hooks.pop('visualization')
    cfg.visualizer, cfg.experiment_name = None, root.name
    cfg.log_level = 'ERROR'
    set_sizes(cfg.train_dataloader)
    complete_config(cfg)
    runner = Runner.from_cfg(cfg)
    hook = LossHook()
    runner.register_hook(hook)
    runner.train()
    return hook, runner.model


PERSON, CAR, ROAD, SKY = CATEGORIES
SEMANTIC = [ROAD, dict(id=2, name='building', isthing=0), SKY, PERSON]
OF_VALUE = by_value({1: ROAD, 5: PERSON, 7: SKY, 13: CAR}, 14)


@pytest.mark.parametrize('name, trees, tasks, counts', [
    ('panoptic-json', dict(my_dataset=('panoptic', CATEGORIES)), TASKS,
     (2, 2)),
    ('instance-json', dict(my_dataset=('instance', CATEGORIES)),
     ('instance', ), (2, 0)),
    ('semantic-maps', dict(my_dataset=('semantic', SEMANTIC)), ('semantic', ),
     (0, 4)),
    ('mixed',
     dict(
         my_dataset=('panoptic', CATEGORIES),
         my_instances=('instance', CATEGORIES),
         my_semantic=('semantic', OF_VALUE)), TASKS, (2, 2)),
])
def test_losses_fall(root, tmp_path, monkeypatch, name, trees, tasks, counts):
    cfg = Config.fromfile(
        root / f'configs/custom/oneformer_r50_8xb2-20k_{name}-512x512.py')
    for folder, (kind, categories) in trees.items():
        write(tmp_path / 'data' / folder, kind, categories)
    if name == 'semantic-maps':
        for loader in (cfg.train_dataloader, cfg.val_dataloader):
            loader.dataset.categories.append('person')
    monkeypatch.chdir(tmp_path)
    hook, model = train(cfg, tmp_path)
    assert hook.tasks == set(tasks)
    assert (model.num_things_classes, model.num_stuff_classes) == counts
    assert np.mean(hook.losses[-8:]) < 0.9 * np.mean(hook.losses[:5])
    # validation answers the tasks that can be asked, and no others
    assert {key.split('/')[0] for key in hook.metrics} == set(tasks)
    assert max(hook.metrics.values()) > 0
