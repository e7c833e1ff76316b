"""Looking through an annotation: its kind, its contents, its mistakes."""
import os.path as osp
from statistics import median
from typing import List, NamedTuple, Sequence

import numpy as np
from mmdet.registry import DATASETS

from .base_dataset import BaseSegmentationDataset
from .checks import some
from .coco_json import is_instance_json, load_coco_json
from .semantic_map import UNEXPECTED, read_semantic_map

#: How each kind of annotation is loaded.
LOADING = dict(
    PanopticDataset='LoadPanopticMap',
    InstanceDataset='LoadInstanceMap',
    SemanticDataset='LoadSemanticMap')


class Survey(NamedTuple):
    """What an annotation holds.

    Attributes:
        metainfo: See `BaseSegmentationDataset`.
        num_images: In the data set.
        short_edge: Median of the shorter sides of the images, in pixels.
        most_masks: Segments of the fullest image.
    """
    metainfo: dict
    num_images: int
    short_edge: int
    most_masks: int


def dataset_type(annotation: str) -> str:
    """The data set that reads an annotation, told from its content.

    Args:
        annotation: A JSON in a COCO format, or a folder of label PNGs.

    Raises:
        FileNotFoundError: If there is no such file or folder.
        ValueError: If it is no such annotation.
    """
    if osp.isdir(annotation):
        return 'SemanticDataset'
    if not osp.isfile(annotation):
        raise FileNotFoundError(f'annotation {annotation} does not exist')
    content = load_coco_json(annotation)
    if not content['annotations']:
        raise ValueError(f'{annotation} has no annotations')
    if is_instance_json(content):
        return 'InstanceDataset'
    return 'PanopticDataset'


def survey(settings: dict, num_samples: int = 100) -> Survey:
    """Build a data set, and load some of its images with their annotation.

    Args:
        settings: Of the data set, without a pipeline.
        num_samples: How many images to load, from all over the data set.

    Raises:
        FileNotFoundError, ValueError: As the data set; and what is wrong with
            the images and maps that are loaded.
    """
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type=LOADING[settings['type']])
    ]
    dataset = DATASETS.build(dict(settings, pipeline=pipeline, test_mode=True))
    if settings['type'] == 'SemanticDataset':
        _check_values(dataset, num_samples)
    short_edges, most_masks = [], 0
    for index in _spread(len(dataset), num_samples):
        results = dataset[index]
        short_edges.append(min(results['img'].shape[:2]))
        most_masks = max(most_masks, len(results['segments_info']))
    return Survey(dataset.metainfo, len(dataset), int(median(short_edges)),
                  most_masks)


def find_values(paths: Sequence[str]) -> List[int]:
    """The values that occur in label PNGs."""
    found = np.zeros(256, bool)
    for path in paths:
        found |= np.bincount(
            read_semantic_map(path).ravel(), minlength=256) > 0
    return np.flatnonzero(found).tolist()


def _spread(length: int, number: int) -> List[int]:
    """``number`` indices, or all, from the first to the last."""
    return np.unique(
        np.linspace(0, length - 1, min(length, number)).astype(int)).tolist()


def _check_values(dataset: BaseSegmentationDataset, num_samples: int) -> None:
    """Refuse label PNGs whose values are probably meant otherwise."""
    infos = [
        dataset.get_data_info(index)
        for index in _spread(len(dataset), num_samples)
    ]
    found = find_values([info['semantic_map_path'] for info in infos])
    labels = {value: infos[0]['semantic_labels'][value] for value in found}
    num_classes = len(infos[0]['classes'])
    text = (f'the label PNGs of {dataset.origin} have the values '
            f'{some(found, 20)}')
    unexpected = [value for value in found if labels[value] == UNEXPECTED]
    if unexpected:
        raise ValueError(
            f'{text}, of which {some(unexpected)} stand for none of the '
            f'{num_classes} classes (255 is void): say which value each has')
    if len({label for label in labels.values() if label >= 0}) < 2:
        raise ValueError(
            f'{text}, in which no two of the {num_classes} classes occur '
            '(255 is void): say which value each has')
