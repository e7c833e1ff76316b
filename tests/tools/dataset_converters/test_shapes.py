"""The embedded data set: its files, and that it is neither easy nor odd."""
import json
import os
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from mmdet.registry import DATASETS
from mmengine.config import Config

import projects.oneformer  # noqa: F401
from tests.conftest import ROOT
from tools.dataset_converters import shapes

TOOL = ROOT / 'tools/dataset_converters/shapes.py'
COUNTS = dict(train=14, val=6)
IS_THING = {c['id']: c['isthing'] for c in shapes.CATEGORIES}


def command(root, *options, train=COUNTS['train']):
    return [
        sys.executable, TOOL, root, '--train', train, '--val', COUNTS['val'],
        *options
    ]


def make(root, *options, **counts):
    """Run the command; return what it says."""
    arguments = map(str, command(root, *options, **counts))
    run = subprocess.run(arguments, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout


def contents(root):
    """Bytes of every file below a folder."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob('*') if path.is_file()
    }


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp('shapes')
    assert '14 training and 6 validation images, written' in make(
        root, '--workers', '1')
    return root


@pytest.fixture(scope='module')
def samples():
    """(image, id map, segments_info) of validation images."""
    return [shapes.make_sample(0, 'val', index) for index in range(80)]


def things_of(segments_info, crowd=0):
    return [
        s for s in segments_info
        if IS_THING[s['category_id']] and s['iscrowd'] == crowd
    ]


def connected_parts(id_map, segments_info, category_id):
    """Parts of the true semantic map of a class, bool (H, W) each."""
    ids = [s['id'] for s in segments_info if s['category_id'] == category_id]
    semantic = np.isin(id_map, ids).astype(np.uint8)
    count, parts = cv2.connectedComponents(semantic, connectivity=8)
    return [parts == part for part in range(1, count)]


def true_masks(id_map, segments_info, category_id):
    return [
        id_map == s['id'] for s in things_of(segments_info)
        if s['category_id'] == category_id
    ]


def pq_things(samples, predict):
    """PQ of things in percent, averaged over classes.

    `predict(id_map, segments_info, category_id)` gives disjoint masks.
    """
    qualities = []
    for category_id in (i for i, thing in IS_THING.items() if thing):
        ious, unmatched = [], 0
        for _, id_map, infos in samples:
            crowd = [s['id'] for s in things_of(infos, crowd=1)]
            ignored = np.isin(id_map, [0, *crowd])
            truth = true_masks(id_map, infos, category_id)
            found = predict(id_map, infos, category_id)
            missed, wrong = len(truth), len(found)
            for mask in found:
                # Void pixels of a prediction are left out of the union.
                seen = mask & (id_map > 0)
                best = max(((seen & true).sum() / (seen | true).sum()
                            for true in truth),
                           default=0)
                if best > 0.5:
                    ious.append(best)
                    missed -= 1
                    wrong -= 1
                elif (mask & ignored).sum() > 0.5 * mask.sum():
                    wrong -= 1
            unmatched += missed + wrong
        qualities.append(sum(ious) / (len(ious) + unmatched / 2))
    return 100 * np.mean(qualities)


# Files


def test_files_do_not_depend_on_the_number_of_workers(folder, tmp_path):
    make(tmp_path, '--workers', '3')
    assert contents(tmp_path) == contents(folder)


def test_splits_and_seeds_differ(folder, tmp_path):
    files = contents(folder)
    images = [data for name, data in files.items() if name.endswith('.jpg')]
    assert len(set(images)) == len(images) == 20
    make(tmp_path, '--seed', '1')
    other = contents(tmp_path)
    assert other.keys() == files.keys()
    assert all(other[name] != files[name] for name in files)


@pytest.mark.parametrize('split', shapes.SPLITS)
def test_annotation_is_what_the_png_shows(folder, split):
    content = json.loads((folder / f'panoptic_{split}.json').read_text())
    assert len(content['images']) == COUNTS[split]
    for image, annotation in zip(content['images'], content['annotations']):
        assert image['id'] == annotation['image_id']
        picture = cv2.imread(str(folder / split / image['file_name']))
        blue, green, red = np.moveaxis(
            cv2.imread(
                str(folder / f'panoptic_{split}' /
                    annotation['file_name'])).astype(int), 2, 0)
        id_map = red + 256 * green + 65536 * blue
        size = (image['height'], image['width'])
        assert picture.shape[:2] == id_map.shape == size
        infos = annotation['segments_info']
        assert {s['id'] for s in infos} == set(np.unique(id_map)) - {0}
        for segment in infos:
            y, x = np.nonzero(id_map == segment['id'])
            assert segment['area'] == len(x)
            assert segment['bbox'] == [
                x.min(),
                y.min(),
                x.max() - x.min() + 1,
                y.max() - y.min() + 1
            ]
            assert segment['category_id'] in IS_THING
        stuff = [s['category_id'] for s in infos
                 if not IS_THING[s['category_id']]]  # yapf: disable
        assert len(set(stuff)) == len(stuff)


def test_stored_picture_is_the_drawn_one_in_rgb(folder):
    image, id_map, _ = shapes.make_sample(0, 'val', 2)
    stored = cv2.imread(str(folder / 'val/000003.jpg'))[..., ::-1]
    assert np.abs(stored - image.astype(float)).mean() < 8
    # Exchanged channels would be far off.
    assert np.abs(stored[..., ::-1] - image.astype(float)).mean() > 16


def test_categories_are_sparse_and_mixed():
    ids = list(IS_THING)
    flags = list(IS_THING.values())
    assert ids != list(range(ids[0], ids[0] + len(ids)))
    assert flags.count(1) >= 6 and flags.count(0) >= 4
    assert sorted(flags) != flags != sorted(flags, reverse=True)


# Runs


def test_second_run_leaves_the_files_alone(folder):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob('*')}
    assert 'already there' in make(folder)
    assert before == {p: p.stat().st_mtime_ns for p in folder.rglob('*')}


def test_lost_file_is_restored(folder):
    before = contents(folder)
    (folder / 'panoptic_val/000002.png').unlink()
    assert 'written' in make(folder)
    assert contents(folder) == before


def test_other_parameters_replace_the_files(tmp_path):
    make(tmp_path)
    assert 'written' in make(tmp_path, train=9)
    content = json.loads((tmp_path / 'panoptic_train.json').read_text())
    assert len(content['images']) == 9


def test_killed_run_does_not_look_finished(folder, tmp_path):
    make(tmp_path, '--seed', '1')
    arguments = map(str, command(tmp_path, '--workers', '1', train=2000))
    process = subprocess.Popen(arguments, start_new_session=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / 'train/000030.jpg').exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / 'panoptic_train.json').exists()
    assert 'written' in make(tmp_path)
    new = contents(tmp_path)
    assert all(new[name] == data for name, data in contents(folder).items())


@pytest.mark.parametrize(
    'text', ['{"info": {"description": "COCO"}}', '{}', '[]', '{"inf'])
def test_another_data_set_is_left_alone(tmp_path, text):
    path = tmp_path / 'panoptic_val.json'
    path.write_text(text)
    run = subprocess.run(
        map(str, command(tmp_path)), capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stderr == (f'{path} belongs to another data set: choose '
                          'another folder\n')
    assert contents(tmp_path) == {'panoptic_val.json': text.encode()}


@pytest.mark.parametrize('option', ['--train', '--val', '--workers'])
def test_counts_from_one(tmp_path, option):
    run = subprocess.run(
        map(str, command(tmp_path, option, 0)), capture_output=True, text=True)
    assert run.returncode == 2
    assert '0 is too small: give 1 or more' in run.stderr


# Content


def test_sizes_and_counts(samples):
    sides = np.array([image.shape[:2] for image, _, _ in samples])
    assert sides.min() >= 128 and sides.max() <= 160
    assert np.unique(sides).size > 20
    things = [len(things_of(infos)) for _, _, infos in samples]
    assert 6 < np.mean(things) < 9 and max(things) <= 14
    assert max(len(infos) for _, _, infos in samples) < 40  # queries
    areas = [s['area'] for _, _, infos in samples for s in things_of(infos)]
    assert min(areas) >= 60
    assert np.percentile(areas, 95) > 8 * np.percentile(areas, 5)


def test_every_class_is_common(samples):
    seen = [{s['category_id'] for s in infos} for _, _, infos in samples]
    for category_id in IS_THING:
        assert sum(category_id in ids for ids in seen) > 0.25 * len(samples)


def test_some_pixels_are_void(samples):
    shares = [(id_map == 0).mean() for _, id_map, _ in samples]
    assert 0.0005 < np.mean(shares) < 0.01
    assert 0.1 < np.mean(np.array(shares) > 0) < 0.6


def test_crowds_are_rare_and_single():
    crowds = [
        len(things_of(shapes.make_sample(0, 'train', i)[2], crowd=1))
        for i in range(100)
    ]
    assert max(crowds) == 1 and 0 < sum(crowds) < 15


def test_stuff_lies_in_separate_regions(samples):
    parts = [
        len(connected_parts(id_map, infos, s['category_id']))
        for _, id_map, infos in samples for s in infos
        if not IS_THING[s['category_id']]
    ]
    assert np.mean(np.array(parts) > 1) > 0.5


def test_connected_parts_are_not_the_instances(samples):
    """Who knows the semantic map still has to tell instances apart."""
    assert pq_things(samples, true_masks) == pytest.approx(100)
    assert 40 < pq_things(samples, connected_parts) < 80


def test_colours_vary_around_the_typical_one_of_their_class(samples):
    """A hue tells the class of most things, but never for sure."""
    for name, typical in shapes.HUES.items():
        category_id = next(c['id'] for c in shapes.CATEGORIES
                           if c['name'] == name)
        colours = np.concatenate([
            image[id_map == s['id']].mean(axis=0)[None]
            for image, id_map, infos in samples for s in things_of(infos)
            if s['category_id'] == category_id
        ])
        hues = cv2.cvtColor(
            np.float32(colours[None] / 255), cv2.COLOR_RGB2HSV)[0, :, 0] / 360
        off = np.abs((hues - typical + 0.5) % 1 - 0.5)
        assert np.mean(off < 0.15) > 0.6
        assert np.mean(off > 0.02) > 0.3


# The data set's config


def test_config_loads_the_files(folder):
    config = Config.fromfile(
        str(ROOT / 'configs/_base_/datasets/shapes_panoptic.py'))
    loaders = dict(
        train=config.train_dataloader,
        val=config.val_dataloader,
        test=config.test_dataloader)
    datasets = {}
    for name, loader in loaders.items():
        assert loader.dataset.data_root == 'data/shapes/'
        loader.dataset.data_root = str(folder)
        datasets[name] = DATASETS.build(dict(loader.dataset, _scope_='mmdet'))
    assert [len(d) for d in datasets.values()] == [14, 6, 6]
    assert datasets['train'].metainfo['thing_classes'] == ('disc', 'square',
                                                           'triangle', 'star',
                                                           'ring', 'cross')
    assert datasets['train'].metainfo['stuff_classes'] == ('sand', 'stripes',
                                                           'bricks', 'grass',
                                                           'clouds')
    for index in range(14):
        packed = datasets['train'][index]
        truth = packed['data_samples'].gt_instances
        assert packed['inputs'].shape == (3, 128, 128)
        assert truth.masks.masks.shape == (len(truth.labels), 128, 128)
        assert len(packed['data_samples'].texts) == len(truth.labels) <= 40
    for index, packed in enumerate(datasets['val']):
        shape = shapes.make_sample(0, 'val', index)[1].shape
        assert packed['inputs'].shape[1:] == shape
        assert packed['data_samples'].ori_shape == shape
    assert [e.type for e in config.val_evaluator
            ] == ['PanopticQualityMetric', 'InstanceMetric', 'SemanticMetric']
