"""Tests of the reading of predictions."""
import numpy as np
import pytest
import torch

from projects.oneformer.evaluation.predictions import (get_prediction,
                                                       get_segmentation_map,
                                                       number_segments)


def test_number_segments():
    index, labels = number_segments(
        np.array([[0, 4, 2001, 1001], [6, 1001, 2001, 3006]]), 6)
    assert labels.tolist() == [0, 4, 1, 1]
    assert index.tolist() == [[1, 2, 4, 3], [0, 3, 4, 0]]


def test_missing_prediction_names_the_task():
    with pytest.raises(KeyError, match="'semantic' among model.test_cfg.task"):
        get_prediction(dict(pred_instances={}), 'semantic')


def test_map_of_another_size_than_the_image():
    sample = dict(
        ori_shape=(4, 5),
        img_path='some.png',
        pred_sem_seg=dict(sem_seg=torch.zeros(1, 2, 3)))
    with pytest.raises(ValueError, match='3 x 2 .*some.png 5 x 4'):
        get_segmentation_map(sample, 'semantic')
