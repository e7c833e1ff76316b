"""What the page shows and hands out for one image."""
import json
import struct
import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import pycocotools.mask as mask_util
import pytest
from PIL import Image

from projects.oneformer.datasets.id_map import read_id_map
from projects.oneformer.tasks import TASKS
from projects.oneformer.web import ImageError, answer_image, check_image
from projects.oneformer.web.answer import MAX_PIXELS, VIEWS
from tests.apis.conftest import DATASET_META, random_image


@pytest.fixture
def answer(inferencer, image_file, tmp_path):
    (tmp_path / 'answer').mkdir()
    return answer_image(
        inferencer, image_file, tmp_path / 'answer', score_thr=0.)


def test_a_picture_and_a_legend_for_each_view(answer, image_file):
    assert answer.source == image_file
    assert tuple(answer.pictures) == tuple(answer.legends) == VIEWS
    image = cv2.imread(image_file)
    for task in TASKS:
        picture = cv2.imread(answer.pictures[task])
        assert picture.shape == image.shape
        assert np.abs(picture.astype(int) - image).mean() > 5
        assert any(name in answer.legends[task]
                   for name in DATASET_META['classes'])
    assert '%</span>' in answer.legends['panoptic']
    assert '%</span>' in answer.legends['instance']
    assert cv2.imread(answer.pictures['compare']).shape[1] > 3 * 480


def test_downloads_are_coco_files(answer, inferencer, image_file):
    with zipfile.ZipFile(answer.files['panoptic']) as archive:
        assert sorted(
            archive.namelist()) == ['panoptic.json', 'panoptic/image.png']
        panoptic = json.loads(archive.read('panoptic.json'))
        archive.extractall(Path(answer.files['panoptic']).parent / 'unpacked')
    annotation, = panoptic['annotations']
    assert annotation['file_name'] == 'image.png'
    assert panoptic['images'][0]['id'] == annotation['image_id']
    id_map = read_id_map(
        str(
            Path(answer.files['panoptic']).parent /
            'unpacked/panoptic/image.png'))
    for segment in annotation['segments_info']:
        assert (id_map == segment['id']).sum() == segment['area'] > 0
    instances = json.loads(Path(answer.files['instance']).read_text())
    assert len(instances['annotations']) > 1
    for instance in instances['annotations']:
        assert mask_util.area(instance['segmentation']) == instance['area']
    expected = inferencer(image_file, tasks='semantic')['predictions'][0]
    order = np.array(DATASET_META['class_order'])
    semantic = np.array(Image.open(answer.files['semantic']))
    assert np.array_equal(order[semantic], expected['sem_seg'])


def test_everything_holds_everything(answer):
    with zipfile.ZipFile(answer.files['everything']) as archive:
        assert sorted(archive.namelist()) == [
            'categories.json', 'instances.json', 'overlay-instance/image.jpg',
            'overlay-panoptic/image.jpg', 'overlay-semantic/image.jpg',
            'panoptic.json', 'panoptic/image.png', 'semantic/image.png',
            'sheet/image.jpg'
        ]
        assert archive.testzip() is None


def test_low_scores_are_not_shown(inferencer, image_file, tmp_path):
    answer = answer_image(inferencer, image_file, tmp_path, score_thr=1.1)
    assert 'Nothing was found' in answer.legends['instance']
    assert 'Nothing was found' not in answer.legends['panoptic']


def png_header(width, height):
    """A PNG of some size that ends before its pixels."""
    parts = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0), b''
    content = b'\x89PNG\r\n\x1a\n'
    for name, part in zip((b'IHDR', b'IDAT'), parts):
        content += struct.pack('>I', len(part)) + name + part
        content += struct.pack('>I', zlib.crc32(name + part))
    return content


@pytest.mark.parametrize('content, message', [
    (b'no image', 'holiday.png is no image'),
    (b'', 'holiday.png is no image'),
    (png_header(8001, 8000), 'holiday.png has more than 64 million pixels'),
    (png_header(40000, 40000), 'holiday.png has more than 64 million pixels'),
], ids=['text', 'empty', 'large', 'huge'])  # yapf: disable
def test_uploads_that_are_refused(tmp_path, content, message):
    path = tmp_path / 'upload'
    path.write_bytes(content)
    with pytest.raises(ImageError, match=message):
        check_image(str(path), 'holiday.png')


def test_images_of_any_kind_are_taken(tmp_path):
    image = random_image(20, 30)
    for suffix in ('.png', '.jpg', '.webp', '.bmp', '.tiff'):
        path = str(tmp_path / f'image{suffix}')
        cv2.imwrite(path, image)
        check_image(path)
    assert MAX_PIXELS == 8000**2


def test_a_broken_image_is_named_but_not_its_place(inferencer, tmp_path):
    path = tmp_path / 'upload.png'
    path.write_bytes(png_header(30, 20))
    with pytest.raises(ImageError) as caught:
        answer_image(inferencer, str(path), tmp_path / 'out', 'holiday.png')
    assert 'holiday.png' in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_too_little_memory_is_told(image_file, tmp_path):

    def fails(*args, **kwargs):
        raise RuntimeError('not enough memory:\n  you tried to allocate much')

    with pytest.raises(
            ImageError,
            match='image.png cannot be answered: not enough memory: you'):
        answer_image(fails, image_file, tmp_path)
