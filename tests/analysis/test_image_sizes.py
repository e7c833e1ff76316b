"""The mean over pictures of COCO."""
import pytest
from mmengine.config import Config

from projects.oneformer.analysis import (MultiplyAdds, coco_complexity,
                                         complexity, image_sizes)
from tests.models import tiny


def test_shares_are_a_distribution():
    assert sum(image_sizes.COCO_VAL2017.values()) == pytest.approx(1)


def test_pictures_are_resized_as_tested(monkeypatch):
    example = complexity(Config(dict(model=tiny.tiny_config())), (64, 64))
    seen = {}

    def pixels(cfg, shape, output_shape):
        seen[output_shape] = shape
        numbers = MultiplyAdds(shape[0] * shape[1], 0, 0, 0, 0,
                               output_shape[0] * output_shape[1])
        return example._replace(
            official=numbers, neighborhood_attention=shape[0])

    monkeypatch.setattr(image_sizes, 'complexity', pixels)
    mean = coco_complexity(Config())
    assert seen == {
        (427, 640): (800, 1199),
        (480, 640): (800, 1067),
        (640, 480): (1067, 800),
        (640, 427): (1199, 800),
        (640, 640): (800, 800),
        (360, 640): (750, 1333),
    }
    shares = image_sizes.COCO_VAL2017
    assert mean.official.post_processing == round(
        sum(h * w * share for (h, w), share in shares.items()))
    assert mean.official.backbone == round(
        sum(shares[picture] * h * w for picture, (h, w) in seen.items()))
    assert mean.neighborhood_attention == round(
        sum(shares[picture] * h for picture, (h, _) in seen.items()))
    assert mean.parameters == example.parameters
