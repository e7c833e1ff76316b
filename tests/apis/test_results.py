"""Plain results from data samples."""
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import PixelData

from projects.oneformer.apis import plain_result, results

CLASSES = ('car', 'bus', 'sky')


def sample(encoded, **metainfo):
    return DetDataSample(
        pred_panoptic_seg=PixelData(
            sem_seg=torch.tensor(encoded, dtype=torch.int32)[None],
            metainfo=metainfo))


@pytest.mark.parametrize('at_once', [1, 1 << 22])
def test_panoptic(monkeypatch, at_once):
    """Void is 0, things are first, whatever the numbers in the map are."""
    monkeypatch.setattr(results, 'PIXELS_AT_ONCE', at_once)
    encoded = [[3, 3, 2, 2], [1001, 1000, 1000, 2], [1001, 5000, 3, 3]]
    result = plain_result(
        sample(encoded, segments_info=[dict(id=2, label=2, score=0.75)]),
        CLASSES, 2)
    assert result['panoptic_seg'].tolist() == [[0, 0, 4, 4], [3, 1, 1, 4],
                                               [3, 2, 0, 0]]
    assert result['panoptic_seg'].dtype == np.int32
    unscored = dict(isthing=True, score=None)
    assert result['segments_info'] == [
        dict(
            unscored, id=1, label=0, category='car', area=2, bbox=[1, 1, 2,
                                                                   1]),
        dict(
            unscored, id=2, label=0, category='car', area=1, bbox=[1, 2, 1,
                                                                   1]),
        dict(
            unscored, id=3, label=1, category='bus', area=2, bbox=[0, 1, 1,
                                                                   2]),
        dict(
            id=4,
            label=2,
            category='sky',
            isthing=False,
            score=0.75,
            area=3,
            bbox=[2, 0, 2, 2]),
    ]


def test_all_void():
    result = plain_result(sample([[3, 3]]), CLASSES, 2)
    assert result['segments_info'] == []
    assert result['panoptic_seg'].tolist() == [[0, 0]]


def test_nothing_there():
    assert plain_result(DetDataSample(), CLASSES, 2) == {}
