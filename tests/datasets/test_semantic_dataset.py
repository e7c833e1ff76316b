"""Folders of images and label PNGs, and what is wrong with some."""
import shutil
from pathlib import Path

import pytest
from mmdet.registry import DATASETS

from tests.helpers import make_samples, write_semantic_dataset


@pytest.fixture
def cfg(tmp_path):
    samples = make_samples(3)
    samples[2]['name'] = 'more/image.v2'
    return write_semantic_dataset(tmp_path, samples)


def paths(dataset, root):
    """Image id, image and label PNG of each sample, below the root."""
    infos = map(dataset.get_data_info, range(len(dataset)))
    return [(info['img_id'], str(Path(info['img_path']).relative_to(root)),
             str(Path(info['semantic_map_path']).relative_to(root)))
            for info in infos]


def test_samples_are_the_images_of_the_folder(cfg, tmp_path):
    assert paths(DATASETS.build(cfg), tmp_path) == [
        ('image_0', 'train/image_0.png', 'semantic_train/image_0.png'),
        ('image_1', 'train/image_1.png', 'semantic_train/image_1.png'),
        ('more/image.v2', 'train/more/image.v2.png',
         'semantic_train/more/image.v2.png'),
    ]


def test_names_are_stuff_unless_told_otherwise(cfg):
    meta = DATASETS.build(cfg).metainfo
    assert meta['classes'] == ('sky', 'car', 'road', 'dog')
    assert meta['thing_classes'] == ()
    cfg['categories'][1] = dict(name='car', isthing=1)
    dataset = DATASETS.build(cfg)
    assert dataset.metainfo['classes'] == ('car', 'sky', 'road', 'dog')
    # sky, car, road, dog in the PNGs
    assert dataset.get_data_info(0)['semantic_labels'][:4] == (1, 0, 2, 3)


def test_list_of_images(cfg, tmp_path):
    (tmp_path / 'some.txt').write_text('more/image.v2\n\nimage_0\n')
    dataset = DATASETS.build(dict(cfg, ann_file='some.txt'))
    assert [p[0]
            for p in paths(dataset, tmp_path)] == ['more/image.v2', 'image_0']
    (tmp_path / 'some.txt').write_text('image_0\nimage_9\n')
    with pytest.raises(
            FileNotFoundError,
            match='some.txt names 2 .* 1 are not .*: image_9'):
        DATASETS.build(dict(cfg, ann_file='some.txt'))


def test_suffixes_in_one_folder(cfg, tmp_path):
    for path in (tmp_path / 'semantic_train').glob('*.png'):
        path.rename(tmp_path / 'train' / f'{path.stem}_labels.png')
        image = tmp_path / 'train' / path.name
        image.rename(image.with_name(f'{path.stem}_image.png'))
    shutil.rmtree(tmp_path / 'train/more')
    cfg['data_prefix'] = dict(img='train', sem='train')
    dataset = DATASETS.build(
        dict(cfg, img_suffix='_image.png', sem_suffix='_labels.png'))
    assert paths(dataset,
                 tmp_path)[1] == ('image_1', 'train/image_1_image.png',
                                  'train/image_1_labels.png')
    with pytest.raises(ValueError, match='both images and label PNGs'):
        DATASETS.build(cfg)


def test_image_without_png_and_png_without_image(cfg, tmp_path):
    (tmp_path / 'semantic_train/image_1.png').unlink()
    with pytest.raises(FileNotFoundError, match='1 do not exist.*image_1.png'):
        DATASETS.build(cfg)
    (tmp_path / 'train/image_1.png').unlink()
    assert len(DATASETS.build(cfg)) == 2
    (tmp_path / 'train/image_0.png').unlink()
    with pytest.raises(ValueError, match='1 label PNGs .*: image_0.png'):
        DATASETS.build(cfg)
    (tmp_path / 'some.txt').write_text('more/image.v2')
    assert len(DATASETS.build(dict(cfg, ann_file='some.txt'))) == 1


def test_two_images_of_one_name(cfg, tmp_path):
    image = tmp_path / 'train/image_1.png'
    shutil.copy(image, image.with_suffix('.JPG'))
    with pytest.raises(ValueError, match='two images image_1.*img_suffix'):
        DATASETS.build(cfg)
    assert len(DATASETS.build(dict(cfg, img_suffix='.png'))) == 3


def test_no_images(cfg):
    with pytest.raises(FileNotFoundError, match='no image whose .* in .bmp'):
        DATASETS.build(dict(cfg, img_suffix='.bmp'))


def test_no_categories(cfg):
    with pytest.raises(ValueError, match='semantic_train.* no categories'):
        DATASETS.build(dict(cfg, categories=None))


@pytest.mark.parametrize('setting', [
    dict(reduce_zero_label=True),
    dict(values=dict(sky=1, car=2, road=3, dog=4))
])
def test_evaluation_must_know_the_meaning_of_values(cfg, setting):
    cfg.update(setting, test_mode=True)
    keys = ['ori_shape', 'semantic_map_path', 'semantic_labels']
    for meta_keys in (keys[:1], keys):
        pipeline = [dict(type='PackDetInputs', meta_keys=meta_keys)]
        dataset = DATASETS.build(dict(cfg, pipeline=pipeline))
    assert dataset.get_data_info(0)['semantic_labels'][:5] == (-1, 0, 1, 2, 3)
    pipeline = [dict(type='PackDetInputs', meta_keys=keys[:2])]
    with pytest.raises(ValueError, match="not 'semantic_labels'"):
        DATASETS.build(dict(cfg, pipeline=pipeline))
    cfg.update(reduce_zero_label=True, values=dict(sky=1))
    with pytest.raises(ValueError, match='give one'):
        DATASETS.build(cfg)


def test_classes_of_a_sample(cfg):
    dataset = DATASETS.build(cfg)
    samples = make_samples(3)
    index_of = {30: 0, 7: 1, 101: 2, 2: 3}
    for index, sample in enumerate(samples):
        labels = {index_of[segment[1]] for segment in sample['segments']}
        assert dataset.get_cat_ids(index) == sorted(labels)


def test_filter_is_refused(cfg):
    with pytest.raises(ValueError, match='min_size.*ann_file'):
        DATASETS.build(dict(cfg, filter_cfg=dict(min_size=32)))
