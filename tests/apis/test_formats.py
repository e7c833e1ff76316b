"""Files that other tools read."""
from pathlib import Path

import cv2
import numpy as np
import pycocotools.mask as mask_util
import pytest
from PIL import Image

from projects.oneformer.apis import formats
from projects.oneformer.datasets.id_map import read_id_map

META = dict(
    classes=('car', 'bus', 'sky'),
    thing_classes=('car', 'bus'),
    palette=[(1, 2, 3), (4, 5, 6), (7, 8, 9)],
    category_ids=(9, 12, 7),
    class_order=(2, 0, 1))


@pytest.fixture
def file(tmp_path):
    """A function that makes a file of bytes."""

    def write(content):
        path = tmp_path / 'file'
        path.write_bytes(content)
        return str(path)

    return write


def test_panoptic_png(file):
    ids = np.random.default_rng(0).integers(0, 256**3, (21, 34), np.int32)
    assert np.array_equal(read_id_map(file(formats.encode_panoptic(ids))), ids)
    # strides of any kind
    content = formats.encode_panoptic(ids.T)
    assert np.array_equal(read_id_map(file(content)), ids.T)


@pytest.mark.parametrize('most, depth', [(255, np.uint8), (256, np.uint16)])
def test_semantic_png(file, most, depth):
    labels = np.random.default_rng(0).integers(0, most, (21, 34), np.int32)
    labels[0, 0] = most
    path = file(formats.encode_semantic(labels))
    read = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    assert read.dtype == depth and np.array_equal(read, labels)


def test_semantic_png_with_colors(file):
    labels = np.arange(3, dtype=np.int32)[None]
    path = file(formats.encode_semantic(labels, META['palette']))
    image = Image.open(path)
    assert image.mode == 'P' and Path(path).read_bytes()[24] == 8  # bits
    assert np.array_equal(image, labels)
    assert np.array_equal(image.convert('RGB'), [META['palette']])


def test_categories_in_the_order_of_the_data_set():
    assert formats.coco_categories(META) == [
        dict(id=7, name='sky', isthing=0, color=[7, 8, 9]),
        dict(id=9, name='car', isthing=1, color=[1, 2, 3]),
        dict(id=12, name='bus', isthing=1, color=[4, 5, 6]),
    ]
    assert formats.class_indices(META).tolist() == [1, 2, 0]
    assert formats.coco_categories(dict(
        META, palette='random'))[0]['color'] != [7, 8, 9]


def test_instances():
    masks = np.zeros((2, 10, 12), np.uint8)
    masks[0, 2:5, 3:9] = 1
    rles = [mask_util.encode(np.asfortranarray(mask)) for mask in masks]
    result = dict(
        labels=[1, 0],
        scores=[0.5, 0.4],
        masks=[dict(m, counts=m['counts'].decode()) for m in rles])
    annotation, = formats.instance_annotations(result, META['category_ids'])
    assert annotation == dict(
        category_id=12,
        segmentation=result['masks'][0],
        area=18,
        bbox=[3, 2, 6, 3],
        iscrowd=0,
        score=0.5)
