"""Sheets of what a model answers."""
import json
import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

TOOL = Path(__file__).parents[2] / 'tools/analysis_tools/draw_predictions.py'
HEIGHT, WIDTH = 60, 80

# A model that takes bright for the thing and dark for the stuff.
CONFIG = """
import sys
sys.path.insert(0, {folder!r})
custom_imports = dict(imports=['bright_model'])
default_scope = 'mmdet'
model = dict(type='BrightModel', backbone=dict(),
             data_preprocessor=dict(type='DetDataPreprocessor'))
dataset = dict(
    type='PanopticDataset',
    data_root={folder!r},
    ann_file='panoptic.json',
    data_prefix=dict(img='images/', seg='panoptic/'),
    test_mode=True,
    pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='PackDetInputs', meta_keys=(
            'img_id', 'img_path', 'ori_shape', 'img_shape', 'seg_map_path',
            'segments_info'))])
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)
del sys
"""
MODEL = """
import torch
from mmdet.registry import MODELS
from mmengine.model import BaseModel
from mmengine.structures import InstanceData, PixelData


@MODELS.register_module()
class BrightModel(BaseModel):

    def __init__(self, backbone, num_things_classes, num_stuff_classes,
                 data_preprocessor):
        super().__init__(data_preprocessor)
        self.threshold = torch.nn.Parameter(torch.zeros(()))

    def forward(self, inputs, data_samples, mode):
        for image, sample in zip(inputs, data_samples):
            thing = image[0] > self.threshold
            sample.pred_panoptic_seg = PixelData(
                sem_seg=torch.where(thing, 1000, 1)[None].int())
            sample.pred_sem_seg = PixelData(sem_seg=(~thing)[None].long())
            sample.pred_instances = InstanceData(
                masks=thing[None], labels=torch.tensor([0]),
                scores=torch.tensor([0.9]), bboxes=torch.zeros(1, 4))
        return data_samples
"""


@pytest.fixture
def setup(tmp_path):
    """A config of four images with their annotation, and a checkpoint."""
    thing = np.zeros((HEIGHT, WIDTH), bool)
    thing[20:50, 30:70] = True
    images, annotations = [], []
    (tmp_path / 'images').mkdir()
    (tmp_path / 'panoptic').mkdir()
    for i in range(1, 5):
        image = np.where(thing, 230, 10).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f'images/{i}.jpg'), image)
        png = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        png[..., 2] = np.where(thing, 2, 1)
        cv2.imwrite(str(tmp_path / f'panoptic/{i}.png'), png)
        images.append(
            dict(id=i, file_name=f'{i}.jpg', height=HEIGHT, width=WIDTH))
        annotations.append(
            dict(
                image_id=i,
                file_name=f'{i}.png',
                segments_info=[
                    dict(id=2, category_id=5, iscrowd=0),
                    dict(id=1, category_id=3, iscrowd=0)
                ]))
    categories = [
        dict(id=3, name='night', isthing=0, color=[0, 0, 250]),
        dict(id=5, name='lamp', isthing=1, color=[250, 0, 0])
    ]
    (tmp_path / 'panoptic.json').write_text(
        json.dumps(
            dict(
                images=images, annotations=annotations,
                categories=categories)))
    (tmp_path / 'config.py').write_text(
        CONFIG.format(folder=str(tmp_path) + '/'))
    (tmp_path / 'bright_model.py').write_text(MODEL)
    torch.save(
        dict(
            state_dict={'threshold': torch.tensor(128.)},
            meta=dict(dataset_meta=dict(classes=('lamp', 'night')))),
        tmp_path / 'some.pth')
    return tmp_path


def run(folder, *args):
    command = [sys.executable, TOOL, 'config.py', *args]
    return subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env=dict(os.environ, OMP_NUM_THREADS='1'),
        capture_output=True,
        text=True)


def test_sheets_show_annotation_and_answers(setup):
    done = run(setup, 'some.pth', '--out', 'new/sheets', '--num', 3,
               '--device', 'cpu')
    assert done.returncode == 0, done.stderr
    sheets = sorted((setup / 'new/sheets').iterdir())
    assert [path.name for path in sheets] == ['1.png', '3.png', '4.png']
    for path in sheets:
        assert f'picture: new/sheets/{path.name}' in done.stdout
    picture = cv2.imread(str(sheets[0]))
    # three columns and two rows of 480 x 360
    assert picture.shape[1] > 3 * 480 and 2 * 360 < picture.shape[0] < 3 * 360
    # half the image's brightness and half the palette's color, but for the
    # names
    blue, _, red = cv2.split(picture.astype(int))
    lamp = (np.abs(red - 240) < 9) & (np.abs(blue - 115) < 9)
    night = (np.abs(blue - 130) < 9) & (red < 15)
    panel = 480 * 360
    # annotation, panoptic, instance, semantic
    assert lamp.sum() == pytest.approx(4 * panel * 0.25, rel=0.15)
    # annotation, panoptic, semantic
    assert night.sum() == pytest.approx(3 * panel * 0.75, rel=0.15)


def load_tool():
    spec = spec_from_file_location('draw_predictions', TOOL)
    tool = module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


def test_images_of_one_name_get_sheets_of_their_own(setup, monkeypatch):
    annotation = json.loads((setup / 'panoptic.json').read_text())
    for index, image in enumerate(annotation['images']):
        moved = setup / f'images/city_{index % 2}/{index // 2}.jpg'
        moved.parent.mkdir(exist_ok=True)
        (setup / 'images' / image['file_name']).rename(moved)
        image['file_name'] = f'{moved.parent.name}/{moved.name}'
    (setup / 'panoptic.json').write_text(json.dumps(annotation))
    monkeypatch.chdir(setup)
    tool = load_tool()
    arguments = [TOOL.name, 'config.py', 'some.pth', '--device', 'cpu']
    for choice in (['--num', '1'], ['--images', 'city_1_0', 'city_1_1'],
                   ['--images', 'city_0_1', '--format', 'jpg']):
        monkeypatch.setattr('sys.argv',
                            [*arguments, *choice, '--out', 'sheets'])
        tool.main()
    # the second run keeps what the first one has drawn of another image
    assert sorted(path.name for path in Path('sheets').iterdir()) == [
        'city_0_0.png', 'city_0_1.jpg', 'city_1_0.png', 'city_1_1.png'
    ]


def test_sheets_have_different_names():
    names = load_tool().sheet_names
    assert names(['a/1.jpg', 'a/2.jpg']) == ['1', '2']
    assert names(['a/1.jpg', 'b/1.jpg', 'b/2.jpg']) == ['a_1', 'b_1', 'b_2']
    assert names(['x/a/1.jpg', 'y/a/1.jpg']) == ['x_a_1', 'y_a_1']
    assert names(['1.jpg', '1.png']) == ['000000_1', '000001_1']


@pytest.mark.parametrize('args, message', [
    (('config.py', 'none.pth'), 'checkpoint none.pth does not exist'),
    (('none.py', 'some.pth'), 'config none.py does not exist'),
    (('config.py', 'some.pth', '--num', '0'), '--num is 0'),
    (('config.py', 'some.pth', '--images', '2', '22'), '22 (similar: 2)'),
])  # yapf: disable
def test_wrong_arguments_are_named(setup, monkeypatch, capsys, args, message):
    monkeypatch.chdir(setup)
    monkeypatch.setattr('sys.argv', [TOOL.name, *args, '--out', 'sheets'])
    with pytest.raises(SystemExit) as stopped:
        load_tool().main()
    assert stopped.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith('draw_predictions.py: error: ') and message in last
    assert not (setup / 'sheets').exists()
