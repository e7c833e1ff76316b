"""Random annotated scenes with predictions, as metrics receive them."""
import logging

import cv2
import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger

CLASSES = ('cat', 'dog', 'bird', 'sky', 'grass', 'road')
NUM_THINGS = 3


@pytest.fixture
def dataset_meta():
    return dict(classes=CLASSES, thing_classes=CLASSES[:NUM_THINGS])


@pytest.fixture
def log_lines():
    """Messages logged during the test."""
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)


@pytest.fixture
def make_sample(tmp_path):
    """A function that writes an id map and returns its sample."""

    def make(id_map, segments, **predictions):
        """Segments are (id, label, iscrowd); predictions are the sample's."""
        path = str(tmp_path / f'{len(list(tmp_path.iterdir()))}.png')
        id_map = np.asarray(id_map)
        blue_green_red = [id_map >> 16, id_map >> 8 & 255, id_map & 255]
        cv2.imwrite(path, np.stack(blue_green_red, -1).astype(np.uint8))
        return dict(
            img_id=path,
            img_path=path,
            seg_map_path=path,
            ori_shape=id_map.shape,
            segments_info=[
                dict(zip(('id', 'label', 'iscrowd'), segment))
                for segment in segments
            ],
            **predictions)

    return make


def _regions(rng, seeds, shape):
    """Index of the nearest seed, with a ragged border."""
    grid = np.indices(shape).reshape(2, -1, 1) + rng.normal(
        0, 1, (2, shape[0] * shape[1], 1))
    return ((grid - seeds.T[:, None])**2).sum(0).argmin(1).reshape(shape)


@pytest.fixture
def make_scene(make_sample):
    """A function from a seed to a random sample with all predictions.

    The prediction resembles the annotation, in which ids are sparse, a part
    is void and some things are crowd; classes err now and then.
    """

    def make(seed, shape=(40, 56)):
        rng = np.random.default_rng(seed)
        number = int(rng.integers(3, 14))
        seeds = rng.random((number, 2)) * shape
        labels = rng.integers(0, len(CLASSES), number)
        is_crowd = (labels < NUM_THINGS) & (rng.random(number) < 0.3)
        ids = rng.choice(2**24 - 1, number, replace=False) + 1
        is_void = rng.random(number) < 0.2
        regions = _regions(rng, seeds, shape)
        id_map = np.where(is_void[regions], 0, ids[regions])
        segments = [(int(i), int(label), int(crowd))
                    for i, label, crowd in zip(ids, labels, is_crowd)
                    if i in id_map]

        regions = _regions(rng, seeds + rng.normal(0, 2, seeds.shape), shape)
        err = rng.random(number) < 0.2
        labels = np.where(err, rng.integers(0,
                                            len(CLASSES) + 1, number), labels)
        values = labels + 1000 * np.where(labels < NUM_THINGS,
                                          np.arange(number) + 1, 0)
        return make_sample(
            id_map,
            segments,
            pred_panoptic_seg=dict(
                sem_seg=torch.tensor(values[regions][None]).int()),
            pred_sem_seg=dict(sem_seg=torch.tensor(labels[regions][None])),
            pred_instances=_instances(rng, regions, labels))

    return make


def _instances(rng, regions, labels):
    things = np.flatnonzero(labels < NUM_THINGS)
    masks = torch.tensor(regions == things[:, None, None])
    return dict(
        labels=torch.tensor(labels[things]),
        scores=torch.tensor(rng.random(len(things)).astype(np.float32)),
        bboxes=torch.zeros(len(things), 4),
        masks=masks)
