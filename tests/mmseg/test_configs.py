"""The configs for MMSegmentation load, and their parts build."""
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from mmseg.registry import DATASETS, METRICS, MODELS

import projects.oneformer.mmseg  # noqa: F401, registers
from projects.oneformer.checkpoints import build_on_meta
from projects.oneformer.checkpoints.structure import LinspaceWithValues

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
#: Each with the config whose checkpoints it takes.
NAMES = dict(
    swin_ade20k=('oneformer_swin-l_ade20k-640x640', 'ade20k/oneformer_swin-l-'
                 'p4-w12-384-in22k_8xb2-160k_ade20k-640x640'),
    r50_ade20k=('oneformer_r50_ade20k-512x512',
                'ade20k/oneformer_r50_8xb2-160k_ade20k-512x512'),
    swin_cityscapes=('oneformer_swin-l_cityscapes-512x1024',
                     'cityscapes/oneformer_swin-l-'
                     'p4-w12-384-in22k_8xb2-90k_cityscapes-512x1024'),
    swin_slide=('oneformer_swin-l_cityscapes-512x1024_slide',
                'cityscapes/oneformer_swin-l-'
                'p4-w12-384-in22k_8xb2-90k_cityscapes-512x1024'),
    r50_cityscapes=('oneformer_r50_cityscapes-512x1024',
                    'cityscapes/oneformer_r50_8xb2-90k_cityscapes-512x1024'),
)


def test_every_config_is_listed():
    found = {path.stem for path in (CONFIGS / 'mmseg').glob('*.py')}
    assert found == {name for name, _ in NAMES.values()}


@pytest.mark.parametrize('key', NAMES)
def test_model_is_that_of_the_checkpoint(key):
    """The same tensors, resizing and preprocessing."""
    name, original = NAMES[key]
    cfg = Config.fromfile(CONFIGS / f'mmseg/{name}.py')
    with DefaultScope.overwrite_default_scope('mmseg'):
        with torch.device('meta'), LinspaceWithValues():
            model = MODELS.build(cfg.model)
        dataset = DATASETS.build(
            dict(cfg.test_dataloader.dataset, lazy_init=True))
        Compose(cfg.test_dataloader.dataset.pipeline)
        Compose(cfg.tta_pipeline)
        METRICS.build(cfg.test_evaluator)
    assert len(dataset.metainfo['classes']) == model.num_classes
    theirs = Config.fromfile(CONFIGS / f'{original}.py')
    with DefaultScope.overwrite_default_scope('mmdet'):
        state = build_on_meta(theirs.model).state_dict()
    assert {
        k: v.shape
        for k, v in model.state_dict().items()
    } == {
        k: v.shape
        for k, v in state.items()
    }
    assert cfg.test_dataloader.dataset.pipeline[
        1] == theirs.test_dataloader.dataset.pipeline[1]
    assert cfg.model.data_preprocessor == theirs.model.data_preprocessor
