"""Mapillary Vistas: what was downloaded is checked."""
import shutil

import numpy as np
import pytest
from mapillary_vistas import MapillaryVistas
from mmdet.registry import DATASETS

from tests.tools.dataset_converters.trees import (mapillary_tree, save,
                                                  save_picture, snapshot)

NAME = '000000000002'


@pytest.mark.parametrize('options', [(), ('--check', )])
def test_good_tree_stays_as_it_is(tmp_path, command, options):
    mapillary_tree(tmp_path)
    before = snapshot(tmp_path)
    status, said = command(MapillaryVistas, tmp_path, *options)
    assert status == 0, said
    assert 'val: 3 of 2000 images, a subset' in said
    assert snapshot(tmp_path) == before


def test_data_set_loads(tmp_path):
    samples = mapillary_tree(tmp_path)
    dataset = DATASETS.build(
        dict(
            type='PanopticDataset',
            categories='mapillary',
            data_root=str(tmp_path),
            ann_file='validation/panoptic/panoptic_2018.json',
            data_prefix=dict(
                img='validation/images/', seg='validation/panoptic/'),
            test_mode=True,
            pipeline=[],
            _scope_='mmdet'))
    assert len(dataset.metainfo['thing_classes']) == 37
    assert [len(info['segments_info']) for info in dataset
            ] == [len(sample['segments']) for sample in samples]


@pytest.mark.parametrize('kind, damage, message', [
    ('panoptic', save_picture, 'has the segment id'),
    ('panoptic', lambda p: save_picture(p, (9, 7)), 'is 7 x 9 pixels, but'),
    ('panoptic', lambda p: p.write_bytes(p.read_bytes()[:80]), 'corrupt'),
    ('labels', lambda p: save(p, np.full((40, 56), 66, np.uint8)),
     'has the label 66, expected 0 to 65'),
    ('labels', lambda p: save(p, np.zeros((9, 7), np.uint8)), 'is 7 x 9'),
    ('labels', save_picture, 'mode RGB'),
])  # yapf: disable
def test_wrong_png_is_found_by_check(tmp_path, command, kind, damage, message):
    mapillary_tree(tmp_path)
    path = tmp_path / f'validation/{kind}/{NAME}.png'
    damage(path)
    assert command(MapillaryVistas, tmp_path)[0] == 0
    status, said = command(MapillaryVistas, tmp_path, '--check')
    assert status == 1
    assert ('images that cannot be converted: 1 '
            f'({NAME}.jpg: {path} ' in said)
    assert message in said


@pytest.mark.parametrize('path, message', [
    (f'images/{NAME}.jpg', 'images missing in'),
    (f'panoptic/{NAME}.png', 'PNGs missing in'),
    (f'labels/{NAME}.png', 'images without PNG in'),
])  # yapf: disable
def test_missing_file_is_named(tmp_path, command, path, message):
    mapillary_tree(tmp_path)
    (tmp_path / 'validation' / path).unlink()
    status, said = command(MapillaryVistas, tmp_path)
    assert status == 1
    assert f'{message} {tmp_path}/validation/' in said
    assert f': 1 ({NAME}' in said


def test_second_release_is_told(tmp_path, command):
    mapillary_tree(tmp_path)
    first = tmp_path / 'validation/v1.2'
    first.mkdir()
    for kind in ('panoptic', 'labels'):
        shutil.move(tmp_path / 'validation' / kind, first / kind)
    status, said = command(MapillaryVistas, tmp_path)
    assert status == 2
    assert len(said.splitlines()) == 1
    assert 'has the tree of release 2.0: move or link labels' in said
    for kind in ('panoptic', 'labels'):
        (tmp_path / 'validation' / kind).symlink_to(first / kind)
    assert command(MapillaryVistas, tmp_path)[0] == 0


def test_test_images_are_counted(tmp_path, command):
    for number in range(2):
        save_picture(tmp_path / f'testing/images/{number}.jpg')
    status, said = command(MapillaryVistas, tmp_path, '--splits', 'test')
    assert status == 0
    assert 'test: 2 of 5000 images, a subset' in said
