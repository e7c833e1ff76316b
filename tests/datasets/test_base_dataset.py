"""What the data sets share: categories, folders, label PNGs, tasks."""
import pytest
from mmdet.registry import DATASETS

from tests.helpers import (CATEGORIES, make_samples, write_instance_dataset,
                           write_panoptic_dataset, write_semantic_dataset)

WRITE = dict(
    panoptic=write_panoptic_dataset,
    instance=write_instance_dataset,
    semantic=write_semantic_dataset)
#: In another order, with others, and under other ids.
COMMON = [
    dict(id=1, name='tree', isthing=0),
    dict(id=2, name='dog', isthing=1),
    dict(id=3, name='road', isthing=0),
    dict(id=4, name='sky', isthing=0, color=[1, 2, 3]),
    dict(id=5, name='cat', isthing=1),
    dict(id=6, name='car', isthing=1),
]


@pytest.fixture(params=WRITE)
def cfg(request, tmp_path):
    return WRITE[request.param](tmp_path)


def test_categories_of_the_config_decide(cfg):
    dataset = DATASETS.build(dict(cfg, categories=COMMON))
    meta = dataset.metainfo
    assert meta['classes'] == ('dog', 'cat', 'car', 'tree', 'road', 'sky')
    assert meta['category_ids'] == (2, 5, 6, 1, 3, 4)
    assert meta['class_order'] == (3, 0, 4, 5, 1, 2)
    assert meta['palette'][5] == (1, 2, 3)
    info = dataset.get_data_info(0)
    assert info['classes'] == meta['classes']
    assert info['num_things'] == 3
    assert info['class_order'] == meta['class_order']


@pytest.mark.parametrize('kind', ['panoptic', 'instance'])
def test_labels_are_those_of_the_categories_given(tmp_path, kind):
    names = {}
    for key, categories in dict(own=None, given=COMMON).items():
        dataset = DATASETS.build(
            dict(WRITE[kind](tmp_path), categories=categories))
        names[key] = [[dataset.metainfo['classes'][i] for i in labels]
                      for labels in map(dataset.get_cat_ids, range(3))]
    assert names['own'] == names['given']
    assert sum(map(len, names['own'])) > 3


@pytest.mark.parametrize('kind', ['panoptic', 'instance'])
def test_categories_that_do_not_fit(tmp_path, kind):
    cfg = WRITE[kind](tmp_path)
    categories = [c for c in COMMON if c['name'] != 'car']
    with pytest.raises(
            ValueError, match=f'{kind}.*_train.json: 1 of .* config .*: car'):
        DATASETS.build(dict(cfg, categories=categories))


def test_categories_of_a_json_and_of_a_known_dataset(tmp_path):
    cfg = write_instance_dataset(tmp_path)
    panoptic = write_panoptic_dataset(tmp_path / 'other')
    path = f'{panoptic["data_root"]}/{panoptic["ann_file"]}'
    dataset = DATASETS.build(dict(cfg, categories=path))
    assert dataset.metainfo['stuff_classes'] == ('sky', 'road')
    dataset = DATASETS.build(dict(cfg, categories='coco'))
    assert dataset.metainfo['classes'][dataset.get_cat_ids(0)[0]] in ('car',
                                                                      'dog')
    assert len(dataset.metainfo['classes']) == 133


def test_tasks_of_samples(cfg):
    dataset = DATASETS.build(cfg)
    tasks = dict(
        PanopticDataset=('panoptic', 'instance', 'semantic'),
        InstanceDataset=('instance', ),
        SemanticDataset=('semantic', ))[cfg['type']]
    assert dataset.tasks == dataset.get_data_info(1)['tasks'] == tasks


@pytest.mark.parametrize('kind, drawn', [
    ('instance', dict(semantic=1)),
    ('instance', dict(panoptic=0.5, semantic=0.5, instance=0)),
    ('semantic', dict(panoptic=1)),
])
def test_tasks_without_an_answer_are_refused_at_once(tmp_path, kind, drawn):
    cfg = WRITE[kind](tmp_path)
    cfg['pipeline'] = [dict(type='TaskSampling', probabilities=drawn)]
    with pytest.raises(ValueError, match=f'tasks {kind}, but TaskSampling'):
        DATASETS.build(cfg)


@pytest.mark.parametrize('lazy_init', [False, True])
def test_wrong_tree(cfg, lazy_init):
    prefix = dict(cfg['data_prefix'], img='images/train')
    with pytest.raises(FileNotFoundError) as error:
        DATASETS.build(dict(cfg, data_prefix=prefix,
                            lazy_init=lazy_init)).full_init()
    message = str(error.value)
    assert 'images/train (images, data_prefix img) does not exist' in message
    # what is there, and what should be
    assert f'{cfg["data_root"]} has ' in message and ', train' in message
    assert f'needs in {cfg["data_root"]}: ' in message
    if cfg.get('ann_file'):
        assert f'{cfg["ann_file"]} (annotation)' in message


@pytest.mark.parametrize('kind', ['panoptic', 'instance'])
def test_missing_split(tmp_path, kind):
    cfg = WRITE[kind](tmp_path)
    with pytest.raises(FileNotFoundError) as error:
        DATASETS.build(dict(cfg, ann_file='annotations/val.json'))
    assert 'annotations/val.json (annotation) does not' in str(error.value)
    assert cfg['ann_file'] in str(error.value)
    with pytest.raises(FileNotFoundError, match='nowhere.* does not exist'):
        DATASETS.build(dict(cfg, data_root=str(tmp_path / 'nowhere/x')))


def test_prefix_that_is_needed(cfg):
    for key in cfg['data_prefix']:
        prefix = {k: v for k, v in cfg['data_prefix'].items() if k != key}
        with pytest.raises(ValueError, match=f'lacks {key!r}: .*img'):
            DATASETS.build(dict(cfg, data_prefix=prefix))


def test_label_pngs_beside_panoptic_annotation(tmp_path):
    samples = make_samples(3)
    for index, sample in enumerate(samples):
        sample['name'] = f'city_{index % 2}/{index}_left'
    cfg = write_panoptic_dataset(tmp_path, samples)
    for sample in samples:
        sample['name'] = sample['name'].replace('left', 'fine_labels')
    write_semantic_dataset(tmp_path / 'labels', samples)
    cfg['data_prefix']['sem'] = 'labels/semantic_train'
    suffixes = dict(img_suffix='_left.png', sem_suffix='_fine_labels.png')
    info = DATASETS.build(dict(cfg, **suffixes)).get_data_info(1)
    assert info['semantic_map_path'] == str(
        tmp_path / 'labels/semantic_train/city_1/1_fine_labels.png')
    with pytest.raises(
            FileNotFoundError, match='3 label PNG files, of which 3 do not'):
        DATASETS.build(cfg)
    with pytest.raises(ValueError, match="does not end in img_suffix '.jpg'"):
        DATASETS.build(dict(cfg, img_suffix='.jpg'))


def test_lazy_dataset_knows_its_classes(cfg):
    dataset = DATASETS.build(dict(cfg, lazy_init=True))
    assert 'car' in dataset.metainfo['classes']
    assert len(dataset) == 3


def test_given_classes_are_known_without_files(cfg):
    dataset = DATASETS.build(
        dict(cfg, data_root='nowhere', lazy_init=True, categories=COMMON))
    assert dataset.metainfo['thing_classes'] == ('dog', 'cat', 'car')
    with pytest.raises(FileNotFoundError, match='nowhere'):
        dataset.full_init()


def test_categories_and_metainfo_of_the_config(tmp_path):
    cfg = write_panoptic_dataset(tmp_path)
    palette = [[i, i, i] for i in range(6)]
    dataset = DATASETS.build(
        dict(cfg, categories=COMMON, metainfo=dict(palette=palette)))
    assert dataset.metainfo['palette'][3] == (3, 3, 3)
    with pytest.raises(ValueError, match='classes.*categories of .*train'):
        DATASETS.build(
            dict(
                cfg,
                categories=COMMON,
                metainfo=dict(classes=[c['name'] for c in CATEGORIES])))
