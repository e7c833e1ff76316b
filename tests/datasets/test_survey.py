"""What is found out about an annotation before a config is written."""
import cv2
import numpy as np
import pytest

from projects.oneformer.datasets.survey import (dataset_type, find_values,
                                                survey)
from tests.helpers import (make_samples, write_instance_dataset,
                           write_panoptic_dataset, write_semantic_dataset)


def test_kind_is_told_from_the_content(tmp_path):
    write_panoptic_dataset(tmp_path)
    write_instance_dataset(tmp_path)
    # names tell nothing
    (tmp_path / 'panoptic_train.json').rename(tmp_path / 'a')
    (tmp_path / 'instances_train.json').rename(tmp_path / 'panoptic.json')
    assert dataset_type(str(tmp_path / 'a')) == 'PanopticDataset'
    assert dataset_type(str(tmp_path / 'panoptic.json')) == 'InstanceDataset'
    assert dataset_type(str(tmp_path / 'train')) == 'SemanticDataset'
    with pytest.raises(FileNotFoundError, match='b.json does not exist'):
        dataset_type(str(tmp_path / 'b.json'))
    (tmp_path / 'b.json').write_text('{"images": [{}], "categories": [{}], '
                                     '"annotations": []}')
    with pytest.raises(ValueError, match='b.json has no annotations'):
        dataset_type(str(tmp_path / 'b.json'))
    with pytest.raises(ValueError, match='image_0.png is not a JSON file'):
        dataset_type(str(tmp_path / 'train/image_0.png'))


def test_contents(tmp_path):
    samples = make_samples(5, (48, 64)) + make_samples(2, (96, 80))
    for index, sample in enumerate(samples):
        sample['name'] = str(index)
    most = max(len(sample['segments']) for sample in samples)
    found = survey(write_panoptic_dataset(tmp_path, samples))
    assert found.num_images == 7
    assert found.short_edge == 48
    assert found.most_masks == most
    assert found.metainfo['thing_classes'] == ('car', 'dog')


def test_mistakes_in_the_files_are_found(tmp_path):
    cfg = write_panoptic_dataset(tmp_path, make_samples(9))
    path = tmp_path / 'panoptic_train/image_8.png'
    cv2.imwrite(str(path), np.ones((48, 64, 3), np.uint8))
    with pytest.raises(ValueError, match='image_8.png has 1 segment id'):
        survey(cfg)
    # the first and the last are always among those looked at
    with pytest.raises(ValueError, match='image_8.png'):
        survey(cfg, 2)


@pytest.fixture
def cfg(tmp_path):
    return write_semantic_dataset(tmp_path)


def write_values(folder, values):
    """Label PNGs with the values 0, 1, ... replaced."""
    table = np.append(values, [255] * (256 - len(values))).astype(np.uint8)
    paths = sorted((folder / 'semantic_train').iterdir())
    for path in paths:
        labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), table[labels])
    return [str(path) for path in paths]


def test_values_of_label_pngs(cfg, tmp_path):
    assert survey(cfg).num_images == 3
    assert find_values(write_values(tmp_path,
                                    [7, 3, 5, 9])) == [3, 5, 7, 9, 255]
    with pytest.raises(ValueError) as error:
        survey(cfg)
    for text in ('semantic_train', 'values 3, 5, 7, 9, 255',
                 '5, 7, 9 stand for none of the 4 classes'):
        assert text in str(error.value)
    values = dict(sky=7, car=3, road=5, dog=9)
    assert survey(dict(cfg, values=values)).most_masks > 1


def test_binary_masks_of_0_and_255(cfg, tmp_path):
    write_values(tmp_path, [0, 255, 255, 255])
    cfg['categories'] = ['background', 'crack']
    with pytest.raises(ValueError, match='0, 255, in which no two of the 2'):
        survey(cfg)
    values = dict(background=0, crack=255)
    assert survey(dict(cfg, values=values)).most_masks == 2
