"""Class counts from annotations, and what is wrong with files."""
import json

import pytest
from mmengine.config import Config

from projects.oneformer.apis import complete_config, load_config, merge_options

CATEGORIES = [
    dict(id=7, name='sky', isthing=0),
    dict(id=9, name='car', isthing=1),
    dict(id=12, name='bus', isthing=1),
]


def write_annotation(folder, categories, name='train.json'):
    path = folder / name
    path.write_text(
        json.dumps(
            dict(images=[dict()], annotations=[dict()],
                 categories=categories)))
    return path


def make_config(dataset=None, split='train', **model):
    cfg = Config(dict(model=dict(type='OneFormer', **model)))
    if dataset is not None:
        cfg[f'{split}_dataloader'] = dict(batch_size=1, dataset=dataset)
    return cfg


def counts(cfg):
    return cfg.model.num_things_classes, cfg.model.num_stuff_classes


def test_counts_come_from_training_annotation(tmp_path):
    write_annotation(tmp_path, CATEGORIES)
    write_annotation(tmp_path, CATEGORIES[:1], 'val.json')
    root = str(tmp_path)
    cfg = make_config(dict(data_root=root, ann_file='train.json'))
    cfg.val_dataloader = dict(
        dataset=dict(data_root=root, ann_file='val.json'))
    assert complete_config(cfg) is cfg
    assert counts(cfg) == (2, 1)


@pytest.mark.parametrize('split', ['val', 'test'])
def test_counts_without_training_data(tmp_path, split):
    path = write_annotation(tmp_path, CATEGORIES)
    dataset = dict(data_root='elsewhere', ann_file=str(path))
    cfg = make_config(dataset, split, num_things_classes=None)
    cfg.train_dataloader = None
    assert counts(complete_config(cfg)) == (2, 1)


def test_training_annotation_not_downloaded(tmp_path):
    path = write_annotation(tmp_path, CATEGORIES)
    cfg = make_config(dict(ann_file=str(tmp_path / 'absent.json')))
    cfg.val_dataloader = dict(dataset=dict(ann_file=str(path)))
    assert counts(complete_config(cfg)) == (2, 1)


def test_wrapped_datasets(tmp_path):
    path = write_annotation(tmp_path, CATEGORIES)
    dataset = dict(
        type='RepeatDataset',
        times=2,
        dataset=dict(
            type='ConcatDataset',
            datasets=[
                dict(
                    type='ClassBalancedDataset',
                    dataset=dict(ann_file=str(path)))
            ]))
    assert counts(complete_config(make_config(dataset))) == (2, 1)


def test_given_counts_are_kept_without_files():
    cfg = make_config(num_things_classes=80, num_stuff_classes=53)
    assert counts(complete_config(cfg)) == (80, 53)


def test_one_given_count_is_checked_the_other_filled(tmp_path):
    path = write_annotation(tmp_path, CATEGORIES)
    cfg = make_config(dict(ann_file=str(path)), num_things_classes=2)
    assert counts(complete_config(cfg)) == (2, 1)
    cfg = make_config(dict(ann_file=str(path)), num_stuff_classes=3)
    with pytest.raises(ValueError) as error:
        complete_config(cfg)
    assert 'num_stuff_classes=3' in str(error.value)
    assert str(path) in str(error.value) and 'has 1' in str(error.value)


def test_missing_file_is_named(tmp_path):
    cfg = make_config(dict(data_root=str(tmp_path), ann_file='absent.json'))
    with pytest.raises(FileNotFoundError, match='absent.json does not exist'):
        complete_config(cfg)


def test_no_annotation_named():
    with pytest.raises(ValueError, match='num_things_classes is not given'):
        complete_config(make_config(dict(type='ToyDataset')))


@pytest.mark.parametrize('text, words', [
    ('{"categories": [', ['is not a JSON file']),
    ('[1, 2]', ['has no images']),
    ('{"images": [1], "annotations": [1]}', ['has no categories']),
    ('{"images": [1], "annotations": [1], '
     '"categories": [{"id": 1, "name": "tree"}]}', ['tree', 'isthing']),
])
def test_bad_annotation_is_named(tmp_path, text, words):
    path = tmp_path / 'bad.json'
    path.write_text(text)
    with pytest.raises(ValueError) as error:
        complete_config(make_config(dict(ann_file=str(path))))
    for word in [str(path), *words]:
        assert word in str(error.value)


def test_categories_need_nothing_on_disk():
    dataset = dict(
        type='PanopticDataset',
        categories='ade20k',
        data_root='nowhere/',
        ann_file='absent.json')
    assert counts(complete_config(make_config(dataset))) == (100, 50)
    cfg = make_config(dataset, num_things_classes=80)
    with pytest.raises(
            ValueError,
            match='num_things_classes=80, but train_dataloader.dataset'
            r"\.categories='ade20k' has 100"):
        complete_config(cfg)


def test_categories_come_before_annotations(tmp_path):
    path = write_annotation(tmp_path, CATEGORIES)
    cfg = make_config(dict(ann_file=str(path)))
    cfg.val_dataloader = dict(dataset=dict(categories=CATEGORIES[1:]))
    assert counts(complete_config(cfg)) == (2, 0)


def test_categories_of_a_mixture():
    dataset = dict(
        type='MixedDataset',
        categories=CATEGORIES,
        datasets=[
            dict(type='InstanceDataset', ann_file='absent.json'),
            dict(type='SemanticDataset')
        ])
    assert counts(complete_config(make_config(dataset))) == (2, 1)


def test_categories_that_do_not_say_what_they_are():
    for kind, expected in (('InstanceDataset', (3, 0)), ('SemanticDataset',
                                                         (0, 3))):
        dataset = dict(type=kind, categories=['sky', 'car', 'bus'])
        assert counts(complete_config(make_config(dataset))) == expected


def test_categories_that_are_none(tmp_path):
    cfg = make_config(dict(categories='ade'))
    with pytest.raises(FileNotFoundError, match="train_dataloader.*'ade'"):
        complete_config(cfg)
    cfg = make_config(dict(categories=[dict(id=1, name='sky')]))
    with pytest.raises(ValueError, match="train_dataloader.*'sky'.*isthing"):
        complete_config(cfg)


def test_instance_annotation_has_things_only(tmp_path):
    path = tmp_path / 'instances.json'
    categories = [dict(id=3, name='cat'), dict(id=1, name='dog')]
    annotation = dict(image_id=1, category_id=3, segmentation=[])
    path.write_text(
        json.dumps(
            dict(
                images=[dict(id=1)],
                annotations=[annotation],
                categories=categories)))
    cfg = make_config(dict(type='InstanceDataset', ann_file=str(path)))
    assert counts(complete_config(cfg)) == (2, 0)


def test_the_list_of_a_semantic_data_set_is_no_annotation(tmp_path):
    path = tmp_path / 'train.txt'
    path.write_text('0001\n')
    cfg = make_config(dict(type='SemanticDataset', ann_file=str(path)))
    with pytest.raises(ValueError, match='no data set .* names categories'):
        complete_config(cfg)


def test_load_config(tmp_path):
    path = tmp_path / 'toy.py'
    path.write_text(
        'model = dict(num_things_classes=1, num_stuff_classes=2)\n')
    cfg = load_config(path, {'model.num_stuff_classes': 4})
    assert cfg.work_dir == 'work_dirs/toy'
    assert counts(cfg) == (1, 4)
    assert load_config(path, work_dir='there').work_dir == 'there'
    assert load_config(path, dict(work_dir='here')).work_dir == 'here'
    with pytest.raises(FileNotFoundError, match='config .*absent.py does not'):
        load_config(tmp_path / 'absent.py')


def test_options_reach_entries_of_lists():
    cfg = Config(dict(steps=[dict(size=1), dict(size=2)], depth=3))
    merge_options(cfg, {'steps.1.size': 5, 'depth': 4, 'new.name': 6})
    assert cfg.steps == [dict(size=1), dict(size=5)]
    assert (cfg.depth, cfg.new.name) == (4, 6)
    merge_options(cfg, None)


@pytest.mark.parametrize('name, words', [
    ('steps.size', 'must be integers'),
    ('steps.2.size', 'Index 2 exceeds'),
    ('depth.size', 'depth is a dict .* but is of type'),
])
def test_options_that_lead_nowhere_are_named(name, words):
    cfg = Config(dict(steps=[dict(size=1), dict(size=2)], depth=3))
    with pytest.raises(ValueError, match=f'{name}=5: .*{words}'):
        merge_options(cfg, {name: 5})
