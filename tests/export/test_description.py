"""What a file says of itself, and which checkpoints are taken."""
import pytest
import torch
from mmengine.config import Config

from projects.oneformer.export import describe, load_model
from projects.oneformer.tasks import TASKS
from tests.models import tiny

META = dict(
    classes=tiny.CLASSES,
    thing_classes=tiny.CLASSES[:3],
    stuff_classes=tiny.CLASSES[3:])


@pytest.fixture
def checkpoint(tmp_path):
    """Path of a checkpoint of `tiny.build`."""
    torch.save(
        dict(
            state_dict=tiny.build().state_dict(),
            meta=dict(dataset_meta=META)), tmp_path / 'model.pth')
    return tmp_path / 'model.pth'


def config():
    cfg = Config(dict(model=tiny.tiny_config()))
    del cfg.model.num_things_classes, cfg.model.num_stuff_classes
    return cfg


def test_classes_come_from_the_checkpoint(checkpoint):
    model, meta = load_model(config(), checkpoint)
    assert {key: meta[key] for key in META} == META
    head = model.panoptic_head
    assert (head.num_things_classes, head.num_stuff_classes) == (3, 2)
    assert not hasattr(head, 'text_mapper') and not model.training
    state = tiny.build().state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[name]), name


def test_what_does_not_fit_is_listed(checkpoint):
    cfg = config()
    cfg.model.panoptic_head.num_queries = 12
    with pytest.raises(ValueError, match='queries: 10 in the file, 12 in the'):
        load_model(cfg, checkpoint)


@pytest.mark.parametrize('bgr_to_rgb, padding', [(True, [9., 8., 7.]),
                                                 (False, [7., 8., 9.])])
def test_description(checkpoint, bgr_to_rgb, padding):
    cfg = config()
    cfg.model.data_preprocessor.update(mean=[9, 8, 7], bgr_to_rgb=bgr_to_rgb)
    cfg.model.test_cfg.object_mask_thr = 0.5
    cfg.test_dataloader = dict(
        dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(640, 2560))
        ]))
    model, meta = load_model(cfg, checkpoint)
    found = describe(model, cfg, meta, (64, 96))
    tokens = found.pop('tasks')
    assert found == dict(
        classes=list(tiny.CLASSES),
        num_things=3,
        shape=[64, 96],
        size_divisor=32,
        resize=[2560, 640],
        padding=padding,
        object_mask_thr=0.5,
        iou_thr=0.8)
    assert tuple(tokens) == TASKS
    # start, "the task is instance", end
    assert tokens['instance'] == [49406, 518, 10549, 533, 34572, 49407
                                  ] + [0] * 71


def test_what_is_unknown_is_left_open(checkpoint):
    cfg = config()
    found = describe(*load_model(cfg, checkpoint)[:1], cfg, META)
    assert found['shape'] is None and found['resize'] is None
