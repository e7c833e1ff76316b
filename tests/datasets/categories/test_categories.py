"""The classes of the published data sets, against those of other libraries."""
import json

import pytest
from mmdet.datasets import ADE20KPanopticDataset, CocoPanopticDataset
from mmseg.datasets import (ADE20KDataset, CityscapesDataset,
                            MapillaryDataset_v1)

from projects.oneformer.datasets import panoptic_metainfo
from projects.oneformer.datasets.categories import CATEGORIES, find_categories

COUNTS = dict(
    coco=(80, 53), ade20k=(100, 50), cityscapes=(8, 11), mapillary=(37, 28))


def column(name, key):
    return [category[key] for category in CATEGORIES[name]]


def names_of(metainfo, number=None):
    return [name.strip() for name in metainfo['classes'][:number]]


def palette_of(metainfo, number=None):
    return [list(color) for color in metainfo['palette'][:number]]


@pytest.mark.parametrize('name', COUNTS)
def test_counts_ids_names_and_colors(name):
    things = sum(column(name, 'isthing'))
    assert (things, len(CATEGORIES[name]) - things) == COUNTS[name]
    ids, names = column(name, 'id'), column(name, 'name')
    assert ids == sorted(set(ids))
    assert len(set(names)) == len(names)
    assert all(text == text.strip() for text in names)
    assert len(set(map(tuple, column(name, 'color')))) == len(ids)
    assert json.loads(json.dumps(CATEGORIES[name])) == list(CATEGORIES[name])
    meta = panoptic_metainfo(CATEGORIES[name], name)
    assert (len(meta['thing_classes']),
            len(meta['stuff_classes'])) == COUNTS[name]


def test_coco_is_mmdets():
    assert column('coco', 'name') == names_of(CocoPanopticDataset.METAINFO)
    assert column('coco', 'color') == palette_of(CocoPanopticDataset.METAINFO)
    assert column('coco', 'isthing') == [1] * 80 + [0] * 53
    ids = column('coco', 'id')
    assert ids[:13] == [*range(1, 12), 13, 14]
    assert (ids[79], ids[80], ids[-1]) == (90, 92, 200)


def test_coco_is_that_of_a_real_annotation(shared):
    path = shared / 'data/coco_panoptic_sample/panoptic_examples.json'
    categories = json.loads(path.read_text())['categories']
    for category in categories:
        del category['supercategory']
    assert list(CATEGORIES['coco']) == categories


def test_coco_is_the_class_list_of_the_official_mapping(shared):
    path = shared / 'reference/official/mapping.json'
    assert column('coco',
                  'name') == json.loads(path.read_text())['class_names']


def test_ade20k_has_the_order_and_colors_of_the_semantic_data_set():
    """Which words ten of its names otherwise."""
    theirs = names_of(ADE20KDataset.METAINFO)
    ours = [name.split(', ')[0] for name in column('ade20k', 'name')]
    other = {a: b for a, b in zip(ours, theirs) if a != b}
    assert other == {
        'window': 'windowpane',
        'tub': 'bathtub',
        'rail': 'railing',
        'street lamp': 'streetlight',
        'tv': 'television receiver',
        'plane': 'airplane',
        'clothes': 'apparel',
        'pool': 'swimming pool',
        'falls': 'waterfall',
        'trash can': 'ashcan'
    }
    palette = palette_of(ADE20KDataset.METAINFO)
    differ = [
        i for i in range(150) if CATEGORIES['ade20k'][i]['color'] != palette[i]
    ]
    assert differ == [48]  # skyscraper, in the colour of road there
    assert column('ade20k', 'id') == list(range(150))


def test_ade20k_has_the_panoptic_names_and_things():
    """Of mmdet, whose classes stand things first."""
    meta = panoptic_metainfo(CATEGORIES['ade20k'], 'ade20k')
    for kind in ('thing_classes', 'stuff_classes'):
        theirs = ADE20KPanopticDataset.METAINFO[kind]
        assert [name.replace('airplane', 'plane')
                for name in theirs] == list(meta[kind])


def test_cityscapes_has_train_ids_for_order():
    metainfo = CityscapesDataset.METAINFO
    assert column('cityscapes', 'name') == names_of(metainfo)
    assert column('cityscapes', 'color') == palette_of(metainfo)
    assert column('cityscapes', 'isthing') == [0] * 11 + [1] * 8


def test_cityscapes_is_that_of_its_own_scripts():
    labels = pytest.importorskip('cityscapesscripts.helpers.labels').labels
    evaluated = [label for label in labels if not label.ignoreInEval]
    evaluated.sort(key=lambda label: label.trainId)
    assert [
        dict(
            id=label.id,
            name=label.name,
            isthing=int(label.hasInstances),
            color=list(label.color)) for label in evaluated
    ] == list(CATEGORIES['cityscapes'])


def test_mapillary_is_the_semantic_data_set_without_void():
    metainfo = MapillaryDataset_v1.METAINFO
    assert metainfo['classes'][65] == 'Unlabeled'
    assert column('mapillary', 'name') == names_of(metainfo, 65)
    assert column('mapillary', 'color') == palette_of(metainfo, 65)
    assert column('mapillary', 'id') == list(range(1, 66))
    things = {c['name'] for c in CATEGORIES['mapillary'] if c['isthing']}
    assert {'Bird', 'Person', 'Crosswalk - Plain', 'Manhole'} <= things
    assert not {'Road', 'Pothole', 'On Rails', 'Ego Vehicle'} & things


def test_find_categories_takes_names_lists_and_files(tmp_path):
    assert find_categories('ade20k') is CATEGORIES['ade20k']
    own = [dict(id=3, name='cat', isthing=1)]
    assert find_categories(own) == own
    path = tmp_path / 'annotation.json'
    path.write_text(json.dumps(dict(categories=own, images=[])))
    assert find_categories(str(path)) == own


def test_what_names_no_categories_is_an_error(tmp_path):
    with pytest.raises(
            FileNotFoundError,
            match=r"train: categories='adE20k' is neither "
            r'.*coco, ade20k, cityscapes, mapillary.* nor a file'):
        find_categories('adE20k', 'train')
    for spec in ([], ['cat'], 5):
        with pytest.raises(ValueError, match='^categories=.* no list of cat'):
            find_categories(spec)
    path = tmp_path / 'annotation.json'
    for text in ('{}', '[]', '{"categories": []}'):
        path.write_text(text)
        with pytest.raises(ValueError, match='annotation.json has no list'):
            find_categories(str(path))
    path.write_text('categories')
    with pytest.raises(ValueError, match='annotation.json is not a JSON'):
        find_categories(str(path))
