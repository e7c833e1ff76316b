"""Many images, of which some are broken, and runs that end early."""
import json
import resource

import cv2
import numpy as np
import pycocotools.mask as mask_util
import pytest
from PIL import Image
from pycocotools.coco import COCO

from projects.oneformer.apis import (BatchInference, OutputError, ResultFolder,
                                     find_files, one_line, products_of)
from projects.oneformer.datasets import PanopticDataset
from projects.oneformer.tasks import TASKS
from tests.apis.conftest import DATASET_META, random_image

ALL = ('overlay', 'sheet', 'coco-panoptic', 'coco-instance', 'semantic')


@pytest.fixture
def images(tmp_path):
    """Images of one name in two folders, a broken one, and a video."""
    folder = tmp_path / 'images'
    for name, size in (('a/1.png', (40, 60)), ('b/1.png', (50, 34))):
        (folder / name).parent.mkdir(parents=True)
        cv2.imwrite(str(folder / name), random_image(*size))
    (folder / 'b/broken.jpg').write_text('no image')
    writer = cv2.VideoWriter(
        str(folder / 'b/clip.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 5,
        (48, 32))
    for seed in range(3):
        writer.write(random_image(32, 48, seed))
    writer.release()
    return folder


@pytest.fixture
def run(inferencer, images, tmp_path):
    """A function that answers images, in a new object each time."""
    out = tmp_path / 'out'

    def start(formats=ALL, tasks=TASKS, model=None, palette=False):
        files, _ = find_files([str(images / 'a'), str(images / 'b')], out)
        folder = ResultFolder(out, {}, DATASET_META)
        batch = BatchInference(
            model or inferencer,
            folder,
            products_of(formats, tasks),
            palette=palette)
        return batch.run(files)

    start.out = out
    return start


class Stopping:
    """An inferencer that stops at the n-th image."""

    def __init__(self, inferencer, after, error):
        self.inferencer = inferencer
        self.after = after
        self.error = error

    def __call__(self, *args, **kwargs):
        self.after -= 1
        if self.after < 0:
            raise self.error
        return self.inferencer(*args, **kwargs)

    def __getattr__(self, name):
        return getattr(self.inferencer, name)


def test_all_formats(run, images, inferencer):
    report = run()
    assert (report.done, report.skipped) == (5, 0)
    error, = report.errors
    assert 'broken.jpg is no image' in error
    names = ['1', 'b_1', 'clip/000000', 'clip/000001', 'clip/000002']
    kinds = [f'overlay-{task}' for task in TASKS] + ['sheet']
    for kind in kinds:
        for name in names:
            picture = cv2.imread(str(run.out / kind / f'{name}.jpg'))
            assert (picture.shape[1] > 960) == (kind == 'sheet')

    result, = inferencer(str(images / 'b/1.png'))['predictions']
    coco = json.loads((run.out / 'panoptic.json').read_text())
    assert [image['file_name'] for image in coco['images']
            ] == ['1.png', 'b_1.png', *(f'{name}.jpg' for name in names[2:])]
    annotation = coco['annotations'][1]
    ids = DATASET_META['category_ids']
    assert annotation['file_name'] == 'b_1.png'
    assert annotation['image_id'] == coco['images'][1]['id']
    written, segments = annotation['segments_info'], result['segments_info']
    assert [
        (s['id'], s['category_id'], s['area'], s['bbox']) for s in written
    ] == [(s['id'], ids[s['label']], s['area'], s['bbox']) for s in segments]
    # other tasks beside it are other batches, which round differently
    assert [s['score']
            for s in written] == pytest.approx([s['score'] for s in segments])

    labels = cv2.imread(
        str(run.out / 'semantic/b_1.png'), cv2.IMREAD_UNCHANGED)
    order = np.array(DATASET_META['class_order'])
    assert np.array_equal(order[labels], result['sem_seg'])


def test_panoptic_answers_are_a_data_set(run):
    """PanopticDataset reads them, with the image sizes and categories."""
    run(['coco-panoptic'], ['panoptic'])
    for name in ('1.png', 'b_1.png', 'clip/000000.jpg', 'clip/000001.jpg',
                 'clip/000002.jpg'):
        path = run.out / 'made' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    dataset = PanopticDataset(
        ann_file=str(run.out / 'panoptic.json'),
        data_prefix=dict(
            img=str(run.out / 'made'), seg=str(run.out / 'panoptic')))
    assert len(dataset) == 5
    assert dataset.metainfo['classes'] == DATASET_META['classes']
    assert dataset.metainfo['palette'] == DATASET_META['palette']
    assert (dataset[1]['height'], dataset[1]['width']) == (50, 34)


def test_instances_are_coco(run, inferencer, images, capsys):
    run(['coco-instance'], ['instance', 'semantic'])
    coco = COCO(str(run.out / 'instances.json'))
    result, = inferencer(str(images / 'a/1.png'))['predictions']
    annotations = coco.loadAnns(coco.getAnnIds(coco.getImgIds()[:1]))
    there = [mask_util.area(mask) > 0 for mask in result['masks']]
    assert len(annotations) == sum(there) > 3
    masks = [mask for mask, kept in zip(result['masks'], there) if kept]
    for annotation, mask in zip(annotations, masks):
        assert np.array_equal(
            coco.annToMask(annotation), mask_util.decode(mask))
        assert annotation['bbox'] == mask_util.toBbox(mask).tolist()


def test_palette(run):
    run(['semantic'], ['semantic'], palette=True)
    image = Image.open(run.out / 'semantic/1.png')
    palette = np.array(image.getpalette()).reshape(-1, 3)
    colors = np.array(DATASET_META['palette'])
    order = list(DATASET_META['class_order'])
    assert np.array_equal(palette[:5], colors[order])


def test_what_is_done_is_skipped(run, inferencer, images):
    run(['semantic'], ['semantic'])
    path = run.out / 'semantic/1.png'
    written = path.stat().st_mtime_ns
    asked = []

    class Watching(Stopping):

        def __call__(self, image, tasks, **kwargs):
            asked.append(tasks)
            return self.inferencer(image, tasks=tasks, **kwargs)

    model = Watching(inferencer, 0, None)
    report = run(['semantic'], ['semantic'], model)
    assert (report.done, report.skipped, len(report.errors)) == (0, 5, 1)
    # the broken one again, which may have been mended
    assert asked == [['semantic']]
    # further products need further tasks alone
    asked.clear()
    report = run(['semantic', 'overlay'], ['semantic', 'panoptic'], model)
    assert report.done == 5
    assert asked[0] == ['panoptic', 'semantic']
    asked.clear()
    run(['coco-instance', 'semantic'], TASKS, model)
    assert asked[0] == ['instance']
    assert path.stat().st_mtime_ns == written


@pytest.mark.parametrize('error', [KeyboardInterrupt, AssertionError])
def test_interrupted(run, inferencer, error):
    with pytest.raises(error):
        run(model=Stopping(inferencer, 2, error()))
    for name in ('panoptic.json', 'instances.json'):
        content = json.loads((run.out / name).read_text())
        assert len(content['images']) == 2
    report = run()
    assert (report.done, report.skipped) == (3, 2)
    content = json.loads((run.out / 'panoptic.json').read_text())
    assert len(content['images']) == len(content['annotations']) == 5


def test_an_image_that_is_too_much_does_not_stop_the_rest(run, inferencer):
    stopping = Stopping(inferencer, 1, RuntimeError('out of memory\nmore'))
    report = run(['semantic'], model=stopping)
    assert report.done == 1
    assert 'b/1.png: out of memory; more' in report.errors[0]
    assert len(report.errors) == 3  # the broken one and the video as well


def test_a_full_disk_stops_all(run):
    """A limit on the size of files stands for it."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    run(['semantic'])
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))
        with pytest.raises(OutputError, match='cannot be written'):
            run(['semantic', 'sheet'])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list((run.out / 'sheet').rglob('*'))
    report = run(['semantic', 'sheet'])
    assert report.done == 5


@pytest.mark.parametrize('formats, tasks, message', [
    (['png'], TASKS, "'png' is unknown: choose from overlay, sheet"),
    (['overlay'], ['depth'], "'depth' is unknown"),
    (['coco-instance'], ['panoptic'], "needs the task 'instance', which"),
])
def test_wrong_products(formats, tasks, message):
    with pytest.raises(ValueError, match=message):
        products_of(formats, tasks)


def test_one_line():
    text = 'a.pth does not fit:\n  queries: 1 in the file\nmissing:\n  b\n  c'
    assert one_line(ValueError(text)) == (
        'a.pth does not fit: queries: 1 in the file; missing: b; c')
    assert len(one_line(ValueError('long ' * 100))) <= 300
