"""The example without torch answers as the fusion head does."""
import json
import re
import runpy
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from projects.oneformer.models import OneFormerFusionHead
from projects.oneformer.tasks import TASKS

CLASSES = ['cat', 'dog', 'polar bear', 'sky', 'brick wall']
NOTHING = 5
ABOUT = dict(
    tasks={
        task: [float(i)] * 77
        for i, task in enumerate(TASKS)
    },
    classes=CLASSES,
    num_things=3,
    shape=None,
    size_divisor=32,
    resize=None,
    padding=[10., 20., 30.],
    object_mask_thr=0.3,
    iou_thr=0.3)


@pytest.fixture
def example(root, tmp_path, monkeypatch, capsys):
    """Run the example on an image of a size, with given logits.

    Returns the network's inputs, the map that was written and the names of
    its values.
    """

    def run(size, task, class_logits=None, mask_logits=None, **about):
        rng = np.random.default_rng(0)
        picture = rng.integers(0, 255, (*size, 3), dtype=np.uint8)
        Image.fromarray(picture).save(tmp_path / 'image.png')
        inputs = {}

        class InferenceSession:

            def __init__(self, path):
                assert path == 'model.onnx'

            def get_modelmeta(self):
                text = json.dumps({**ABOUT, **about})
                return SimpleNamespace(
                    custom_metadata_map=dict(oneformer=text))

            def run(self, outputs, given):
                inputs.update(given)
                height, width = given['image'].shape[2:]
                logits = class_logits, mask_logits
                if class_logits is None:
                    logits = np.zeros((2, 6)), np.zeros(
                        (2, height // 4, width // 4))
                return [x[None].astype(np.float32) for x in logits]

        runtime = ModuleType('onnxruntime')
        runtime.InferenceSession = InferenceSession
        monkeypatch.setitem(sys.modules, 'onnxruntime', runtime)
        monkeypatch.setattr(sys, 'argv', [
            'run_onnx.py', 'model.onnx',
            str(tmp_path / 'image.png'), task,
            str(tmp_path / 'out.png')
        ])
        runpy.run_path(str(root / 'tools/run_onnx.py'))
        names = dict(
            re.findall(r'^(\d+): (.*),',
                       capsys.readouterr().out, re.M))
        written = np.array(Image.open(tmp_path / 'out.png'))
        return picture, inputs, written, names

    return run


@pytest.mark.parametrize('size, about, inner, outer', [
    ((40, 70), dict(), (40, 70), (64, 96)),
    ((40, 80), dict(resize=[128, 64]), (64, 128), (64, 128)),
    ((90, 40), dict(resize=[96, 64]), (96, 43), (96, 64)),
    ((40, 80), dict(shape=[96, 128]), (64, 128), (96, 128)),
    ((90, 40), dict(shape=[64, 128]), (64, 28), (64, 128)),
])
def test_images_are_resized_and_filled_up(example, size, about, inner, outer):
    picture, inputs, written, _ = example(size, 'instance', **about)
    image = inputs['image']
    assert image.shape == (1, 3, *outer) and image.dtype == np.float32
    padding = np.array(ABOUT['padding'], np.float32)[:, None, None]
    assert (image[0, :, inner[0]:] == padding).all()
    assert (image[0, :, :, inner[1]:] == padding).all()
    assert (image[0, :, :inner[0], :inner[1]] != padding).any(axis=0).all()
    if inner == size:
        assert np.array_equal(image[0, :, :inner[0], :inner[1]],
                              picture.transpose(2, 0, 1))
    assert inputs['task_tokens'].shape == (1, 77)
    assert inputs['task_tokens'][0, 0] == 1
    assert written.shape == size


@pytest.fixture
def logits():
    """Of 12 queries on a network input of 96 x 128."""
    generator = torch.Generator().manual_seed(0)
    classes = torch.randn(12, 6, generator=generator) * 3
    masks = torch.nn.functional.interpolate(
        torch.randn(1, 12, 4, 5, generator=generator) * 4, (24, 32),
        mode='bicubic')[0]
    return classes, masks - 2


def labels_of(written, names):
    """The class that each pixel shows."""
    table = [(CLASSES + ['nothing']).index(names.get(str(i), 'nothing'))
             for i in range(256)]
    return np.array(table)[written]


@pytest.mark.parametrize('task', TASKS)
def test_answers_are_those_of_the_fusion_head(example, logits, task):
    """Of the panoptic one, where segments do not overlap."""
    kind = 'semantic' if task == 'semantic' else 'panoptic'
    head = OneFormerFusionHead(
        num_things_classes=3,
        num_stuff_classes=2,
        test_cfg=dict(object_mask_thr=0.3, iou_thr=0.3))
    expected = head.predict({kind: logits[0]}, {kind: logits[1]},
                            dict(
                                batch_input_shape=(96, 128),
                                img_shape=(90, 100),
                                ori_shape=(90, 100)))[kind].sem_seg[0].numpy()
    _, _, written, names = example((90, 100), task,
                                   *(x.numpy() for x in logits))
    found = labels_of(written, names)
    assert (found == expected % 1000).mean() > 0.998
    assert len(np.unique(found)) > 3
    if task != 'semantic':
        assert NOTHING in found
        # each segment of ours is one of theirs
        for segment in np.unique(expected[expected % 1000 < 3]):
            values, counts = np.unique(
                written[expected == segment], return_counts=True)
            assert counts.max() > 0.99 * counts.sum()


def test_nothing_may_be_seen(example, logits):
    logits[0][:, 5] = 99
    _, _, written, names = example((90, 100), 'panoptic',
                                   *(x.numpy() for x in logits))
    assert set(names.values()) == {'nothing'}
