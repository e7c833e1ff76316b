"""The network that is exported gives what the model gives."""
import pytest
import torch

from projects.oneformer.export import ExportNetwork
from projects.oneformer.tasks import TASKS
from tests.checkpoints import small_models
from tests.models import tiny


@torch.no_grad()
@pytest.mark.parametrize('variant', small_models.VARIANTS)
def test_logits_are_those_of_the_model(variant):
    cfg = small_models.with_classes(small_models.small_config(variant))
    cfg.model.data_preprocessor.bgr_to_rgb = variant != 'swin'
    model = small_models.build(cfg)
    image = torch.rand(1, 3, 64, 96) * 255
    data = dict(inputs=list(image.flip(1)))  # as OpenCV reads it
    features = model.extract_feat(model.data_preprocessor(data)['inputs'])
    expected = model.panoptic_head.predict(features, [TASKS])
    tokens = model.panoptic_head.query_formation.task_mlp.tokens
    network = ExportNetwork(model)
    for ours, theirs in zip(network(image, tokens), expected):
        assert ours.shape == theirs.shape[1:]
        assert tiny.relative(ours, theirs[0]) < 1e-5
    alone = network(image, tokens[1:2])[0]
    assert tiny.relative(alone, expected[0][:, 1]) < 1e-5


def test_the_model_is_left_as_it_is():
    model = tiny.build()
    names = [type(module).__name__ for module in model.modules()]
    network = ExportNetwork(model)
    network.head.cls_embed.weight.zero_()
    assert model.panoptic_head.cls_embed.weight.any()
    assert names == [type(module).__name__ for module in model.modules()]
    assert not any('text_mapper' in name for name in network.state_dict())
