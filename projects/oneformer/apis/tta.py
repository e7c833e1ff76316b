"""Testing on scales and flips: what a config says of it, or leaves out."""
from copy import deepcopy
from typing import Sequence

from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import nn

from .config import dataset_settings

#: Sizes of the views of an image, in units of that at which it is tested. At
#: the sizes of ADE20K and Cityscapes these are the short edges of the paper;
#: but for 678 pixels in the official configs of ADE20K at 896, where 672
#: continue the list.
SCALES = (0.5, 0.75, 1., 1.25, 1.5, 1.75)
#: What a data sample must say of a flip.
FLIP_KEYS = ('flip', 'flip_direction')


def augment_test_data(cfg: Config) -> None:
    """Let the test data of a config yield several views of each image.

    Their pipelines become ``tta_pipeline`` of the config, or else, as
    officially, go on from the image at the size of the test: it is resized
    by each of `SCALES`, as it is and flipped.

    Args:
        cfg (Config): Changed in place.

    Raises:
        ValueError: If a pipeline makes no views, or such as cannot be turned
            back, or does not end in ``PackDetInputs``.
    """
    datasets = [dataset for _, dataset in dataset_settings(cfg, ('test', ))]
    given = cfg.get('tta_pipeline')
    pipelines = [given or _views_of(d.pipeline, cfg) for d in datasets]
    for dataset, pipeline in zip(datasets, pipelines):
        _check(pipeline, f'{cfg.filename}: tta_pipeline')
        dataset.pipeline = deepcopy(pipeline)


def _views_of(pipeline: Sequence[dict], cfg: Config) -> list:
    """A test pipeline that goes on to views; see `augment_test_data`."""
    if not pipeline or pipeline[-1].get('type') != 'PackDetInputs':
        raise ValueError(
            f'{cfg.filename}: the pipeline of test_dataloader does not end in '
            'PackDetInputs, so that the views of --tta cannot be added to it: '
            'state a tta_pipeline')
    resize = dict(type='Resize', keep_ratio=False)
    for step in pipeline:
        if step.type == 'Resize':
            resize.update({
                key: step[key]
                for key in ('backend', 'interpolation') if key in step
            })
    pack = deepcopy(pipeline[-1])
    if 'meta_keys' in pack:
        pack.meta_keys = (*pack.meta_keys, *FLIP_KEYS)
    return [
        *pipeline[:-1],
        dict(
            type='TestTimeAug',
            transforms=[[dict(resize, scale_factor=s) for s in SCALES],
                        [dict(type='RandomFlip', prob=p) for p in (0., 1.)],
                        [pack]])
    ]


def _check(pipeline: Sequence[dict], where: str) -> None:
    """Look whether a pipeline makes views that say how they are flipped."""
    if not pipeline or pipeline[-1].get('type') != 'TestTimeAug':
        raise ValueError(f'{where} must end in TestTimeAug')
    steps = [step for steps in pipeline[-1]['transforms'] for step in steps]
    flips = any(step['type'] == 'RandomFlip' for step in steps)
    for step in steps:
        if step['type'] == 'PackDetInputs' and 'meta_keys' in step and flips:
            missing = sorted(set(FLIP_KEYS) - set(step['meta_keys']))
            if missing:
                raise ValueError(
                    f'{where} flips images, but the meta_keys of its '
                    f'PackDetInputs lack {" and ".join(missing)}')


def averaging_model(cfg: Config, model: nn.Module) -> BaseTTAModel:
    """A model that averages the answers of another one over views.

    Args:
        cfg (Config): Its ``tta_model`` is built, by default an
            `OneFormerTTAModel`.
        model (nn.Module): The other one, perhaps wrapped for distributed
            runs.
    """
    if is_model_wrapper(model):
        model = model.module
    settings = cfg.get('tta_model') or dict(type='OneFormerTTAModel')
    return MODELS.build(dict(settings, module=model))
