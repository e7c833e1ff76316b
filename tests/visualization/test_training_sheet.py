"""Masks in the colors of their classes, and texts that are counted."""
import numpy as np
import pytest
from mmdet.structures.mask import BitmapMasks

from projects.oneformer.visualization.sheet import PAPER
from projects.oneformer.visualization.training_sheet import (text_lines,
                                                             training_sheet)

CLASSES = 'car', 'dog', 'sky'
PALETTE = (250, 0, 0), (0, 250, 0), (0, 0, 250)
SIDE = 440  # of a picture on the sheet


def view(task, labels, masks, **more):
    return dict(
        task=task,
        img=np.full((40, 40, 3), 100, np.uint8),
        img_path='some/image.jpg',
        ori_shape=(90, 60),
        segments_info=[dict(iscrowd=0)],
        class_order=(1, 2, 0),
        gt_bboxes_labels=np.array(labels, int),
        gt_masks=BitmapMasks(
            np.array(masks, np.uint8).reshape(-1, 40, 40), 40, 40),
        texts=[
            f'a {CLASSES[label]}'
            for label in sorted(labels, key=(1, 2, 0).index)
        ],
        **more)


def tinted(picture, color):
    """Pixels of a sheet that are half grey and half a color."""
    expected = (100 + np.array(color)) / 2
    return (np.abs(picture - expected).max(axis=-1) <= 1).sum()


def test_pictures_of_the_image_and_its_tasks():
    upper, lower = np.zeros((2, 40, 40))
    upper[:20] = lower[20:] = 1
    views = dict(
        panoptic=view('panoptic', [0, 2], [upper, lower]),
        instance=view('instance', [0], [upper]))
    sheet = training_sheet(views, CLASSES, PALETTE, ['of a test'], 9)
    half = SIDE * SIDE / 2
    assert tinted(sheet, PALETTE[0]) == pytest.approx(2 * half, rel=0.06)
    assert tinted(sheet, PALETTE[2]) == pytest.approx(half, rel=0.06)
    assert tinted(sheet, PALETTE[1]) == 0
    # the image itself, and what the instance task leaves of it
    grey = (sheet == 100).all(axis=-1).sum()
    assert grey == pytest.approx(3 * half, rel=0.03)
    assert 3 * SIDE < sheet.shape[1] < 3.2 * SIDE
    # swatches in the list of texts
    assert (sheet[SIDE + 60:] == PALETTE[0]).all(axis=-1).sum() > 300


@pytest.mark.parametrize('num_texts', [None, 0, 9])
def test_tasks_without_masks(num_texts):
    views = dict(instance=view('instance', [], []))
    sheet = training_sheet(views, CLASSES, PALETTE, num_texts=num_texts)
    grey = (sheet == 100).all(axis=-1).sum()
    assert grey == pytest.approx(2 * SIDE**2, rel=0.01)


def test_images_of_any_type_and_size():
    small = view('semantic', [1], [np.ones((40, 40))])
    small['img'] = np.full((40, 40, 3), 300.5, np.float32)
    sheet = training_sheet(dict(semantic=small), CLASSES, PALETTE)
    assert sheet.dtype == np.uint8 and sheet.shape[1] < 2.2 * SIDE
    large = view('semantic', [], [])
    large['img'] = np.zeros((500, 2000, 3), np.uint8)
    large['gt_masks'] = BitmapMasks(np.zeros((0, 500, 2000)), 500, 2000)
    sheet = training_sheet(dict(semantic=large), CLASSES, PALETTE)
    assert 2 * 720 < sheet.shape[1] < 2.2 * 720


def test_texts_are_counted():
    # classes stand in another order than labels
    some = view('panoptic', [2, 1, 0, 1], np.zeros((4, 40, 40)))
    assert some['texts'] == ['a dog', 'a dog', 'a sky', 'a car']
    lines = [('2 × a dog', PALETTE[1]), ('a sky', PALETTE[2]),
             ('a car', PALETTE[0])]
    assert text_lines(some, PALETTE, None) == lines
    assert text_lines(some, PALETTE, 10) == [
        *lines, ('6 × a panoptic photo (padding)', PAPER)
    ]
    assert text_lines(some, PALETTE, 4)[-1][0].startswith('0 ×')
    assert text_lines(some, PALETTE, 3) == [
        *lines, ('the last 1 of them are cut off: the model takes 3', PAPER)
    ]


def test_long_texts_stay_on_the_sheet():
    long = view('semantic', [0], [np.ones((40, 40))])
    long['texts'] = ['a photo with a ' + 'chest of drawers, ' * 3]
    sheet = training_sheet(dict(semantic=long), CLASSES, PALETTE)
    ink = np.nonzero((sheet[SIDE + 40:] < 128).all(axis=-1))[1]
    assert ink.max() < sheet.shape[1] - 9
