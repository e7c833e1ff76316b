"""Categories: completed, matched with those of an annotation, coloured."""
import json

import pytest

from projects.oneformer.datasets import (CATEGORIES, complete_categories,
                                         match_categories, panoptic_metainfo)
from tests.helpers import CATEGORIES as SMALL

META = panoptic_metainfo(SMALL, 'x.json')  # car, dog, sky, road


def test_names_become_categories():
    completed = complete_categories(
        ['road', dict(name='car', isthing=1)], 'here', isthing=0)
    assert completed == [
        dict(id=0, name='road', isthing=0),
        dict(id=1, name='car', isthing=1)
    ]


def test_completing_leaves_the_given_alone(tmp_path):
    given = [dict(id=5, name='road')]
    assert complete_categories(given, '') == given
    assert complete_categories(
        given, '', isthing=1) == [dict(id=5, name='road', isthing=1)]
    assert given == [dict(id=5, name='road')]
    path = tmp_path / 'x.json'
    path.write_text(json.dumps(dict(categories=SMALL)))
    assert complete_categories(str(path), '', isthing=1) == SMALL
    assert len(complete_categories('cityscapes', '')) == 19


def test_some_ids_are_not_made_up():
    categories = complete_categories(['a', dict(id=3, name='b')], '', 1)
    with pytest.raises(ValueError, match="here: category 'a' lacks 'id'"):
        panoptic_metainfo(categories, 'here')


@pytest.mark.parametrize(
    'categories, labels',
    [
        # by name, whatever the ids
        ([dict(id=1, name='dog'),
          dict(id=7, name='sky')], {
              1: 1,
              7: 2
          }),
        # by id, some names being others
        ([dict(id=7, name='cars'),
          dict(id=2, name='dog')], {
              7: 0,
              2: 1
          }),
        ([], {}),
    ])
def test_categories_are_found_by_name_or_else_by_id(categories, labels):
    assert match_categories(categories, META, 'x.json') == labels


@pytest.mark.parametrize(
    'categories',
    [
        # unknown in both ways
        [dict(id=7, name='cat'),
         dict(id=8, name='cow')],
        # 'dog' has the id of 'car': the ids are not the same ids
        [dict(id=7, name='dog'),
         dict(id=2, name='cat')],
    ])
def test_unknown_categories(categories):
    with pytest.raises(ValueError, match='x.json: . of its 2 categories.*cat'):
        match_categories(categories, META, 'x.json')


def test_thing_here_stuff_there():
    with pytest.raises(ValueError, match="x.json.*'dog' has isthing 0, but 1"):
        match_categories([dict(id=2, name='dog', isthing=0)], META, 'x.json')


def test_names_that_occur_twice_are_matched_by_id():
    meta = panoptic_metainfo(
        [dict(id=i, name='door', isthing=1) for i in (4, 6)], 'x.json')
    categories = [dict(id=6, name='door')]
    assert match_categories(categories, meta, 'x.json') == {6: 1}


@pytest.mark.parametrize('name', CATEGORIES)
def test_published_categories_match_themselves(name):
    meta = panoptic_metainfo(CATEGORIES[name], name)
    labels = match_categories(CATEGORIES[name], meta, name)
    assert tuple(labels.values()) == meta['class_order']


def test_palette_takes_colors_of_the_json():
    categories = [dict(c) for c in SMALL]
    categories[0]['color'] = [128, 0, 0]  # sky; the first colour made up
    palette = panoptic_metainfo(categories, 'x.json')['palette']
    assert palette[2] == (128, 0, 0)
    assert len(set(palette)) == 4


def test_made_up_palette_is_distinct_and_the_same_each_time():
    categories = [dict(id=i, name=str(i), isthing=1) for i in range(1, 400)]
    palette = panoptic_metainfo(categories, 'x.json')['palette']
    assert len(set(palette)) == 399
    assert (0, 0, 0) not in palette
    assert palette == panoptic_metainfo(categories, 'x.json')['palette']
    assert palette[:3] == [(128, 0, 0), (0, 128, 0), (128, 128, 0)]
