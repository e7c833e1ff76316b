"""MMDetection's inferencer for a model of three tasks."""
import json
import os
import warnings
from collections import Counter
from pathlib import Path
from typing import Callable, Iterator, List, Optional, Sequence, Tuple, Union

import numpy as np
from mmdet.apis import DetInferencer
from mmdet.apis.det_inferencer import IMG_EXTENSIONS
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict
from mmengine.dataset import Compose, pseudo_collate
from torch import nn

from ..tasks import TASKS, check_tasks
from ..visualization import TaskVisualizer
from .formats import encode_panoptic, encode_semantic
from .loading import (class_metainfo, fill_class_counts, find_model,
                      load_fitting, read_checkpoint, saved_classes,
                      saved_config)
from .pipeline import ImageInput, bear_any_image
from .results import plain_result

Tasks = Union[str, Sequence[str], Sequence[Sequence[str]]]


class OneFormerInferencer(DetInferencer):
    """Answers any of the three tasks for images, folders and arrays.

    Called as ``DetInferencer``, with the same options, and what it leaves
    out: tasks of the caller's choice, semantic answers, panoptic ones without
    panopticapi, models of this repository's index, class counts and names
    from the checkpoint, images of any size, and an error where a checkpoint
    does not fit the config.

    ::

        inferencer = OneFormerInferencer('configs/...py', 'weights.pth')
        result = inferencer('image.jpg', tasks='panoptic')['predictions'][0]
        result['panoptic_seg'], result['segments_info']

    Args:
        model: Path of a config, name of a model in ``model-index.yml``, or a
            config; without it, the config that the checkpoint keeps.
        weights: Path or address of the checkpoint; by default that of the
            model of the index. Without any, the model is random.
        device: By default a GPU where there is one.
        scope: Of the registries.
        palette: Colors of the classes; by default those of the checkpoint or
            of the config.
        show_progress: Whether to show a progress bar.

    Raises:
        FileNotFoundError: If there is no such config, model or checkpoint.
        ValueError: If the checkpoint does not fit the config, or it is
            unknown what the classes are, or the device cannot be used.
    """

    preprocess_kwargs = {'tasks', 'semantic_scores'}

    def __init__(self,
                 model: Union[str, Path, dict, Config, None] = None,
                 weights: Optional[str] = None,
                 device: Optional[str] = None,
                 scope: str = 'mmdet',
                 palette: str = 'none',
                 show_progress: bool = True) -> None:
        model = str(model) if isinstance(model, Path) else model
        weights = str(weights) if isinstance(weights, Path) else weights
        self._weights_given = weights is not None
        super().__init__(model, weights, device, scope, palette, show_progress)

    def __call__(self,
                 inputs: Union[ImageInput, Sequence[ImageInput]],
                 *args,
                 tasks: Optional[Tasks] = None,
                 semantic_scores: bool = False,
                 **kwargs) -> dict:
        """Answer tasks for images.

        Args:
            inputs: A path, a folder, an array (H, W, 3) in BGR, or a list of
                these but folders.
            *args, **kwargs: Of ``DetInferencer``: ``batch_size``,
                ``return_vis``, ``return_datasamples``, ``out_dir``, ...
            tasks: One task or several, for each input; or a list with the
                tasks of each input. By default those that the config asks.
            semantic_scores: Whether semantic answers hold the score of every
                class at every pixel.

        Returns:
            dict: ``predictions``, for each input what `plain_result` returns,
            or with ``return_datasamples`` the data sample; and
            ``visualization``, pictures in RGB: one task's answer over the
            image, or several side by side.

        Raises:
            FileNotFoundError: If a file does not exist.
            ValueError: If an input is no image, a folder has none, or a task
                is unknown.
        """
        if kwargs.get('out_dir'):
            inputs = self._inputs_to_list(inputs)
            _check_names(inputs)
        return super().__call__(
            inputs,
            *args,
            tasks=tasks,
            semantic_scores=semantic_scores,
            **kwargs)

    def preprocess(self,
                   inputs: Sequence[ImageInput],
                   batch_size: int = 1,
                   tasks: Optional[Tasks] = None,
                   semantic_scores: bool = False) -> Iterator[tuple]:
        """Yield batches of inputs and what the model takes of them."""
        asked = iter(self.tasks_of_inputs(tasks, len(inputs)))
        for originals, data in super().preprocess(inputs, batch_size):
            for data_sample in data['data_samples']:
                data_sample.set_metainfo(
                    dict(
                        task=list(next(asked)),
                        semantic_scores=semantic_scores or None))
            yield originals, data

    def tasks_of_inputs(self, tasks: Optional[Tasks],
                        number: int) -> List[Tuple[str, ...]]:
        """The tasks of each of a number of inputs.

        Raises:
            ValueError: If a task is unknown or tasks are given for another
                number of inputs.
        """
        if tasks is None:
            tasks = self.model.test_cfg.get('tasks', TASKS)
        if isinstance(tasks, str) or all(isinstance(t, str) for t in tasks):
            return [check_tasks(tasks)] * number
        if len(tasks) != number:
            raise ValueError(f'tasks are given for {len(tasks)} inputs, but '
                             f'there are {number}')
        return [check_tasks(each) for each in tasks]

    def pred2dict(self,
                  data_sample: DetDataSample,
                  pred_out_dir: str = '') -> dict:
        """A data sample as plain Python; saved where a folder is given.

        What is saved is a JSON in ``preds``, with paths of PNGs (of the
        labels, or of the segment ids as in COCO) in place of maps.
        """
        meta = self.model.dataset_meta
        result = plain_result(data_sample, meta['classes'],
                              self.model.num_things_classes)
        if not pred_out_dir:
            return result
        name = Path(data_sample.get('img_path') or '').stem
        if not name:
            name = str(self.num_predicted_imgs)
            self.num_predicted_imgs += 1
        return _save_result(result, Path(pred_out_dir, 'preds'), name)

    def _load_model_from_metafile(self, model: str) -> Tuple[Config, str]:
        """Config and weights from the index of this repository.

        MMEngine looks into that of the installed MMDetection.
        """
        cfg, weights = find_model(model)
        if weights is None and not self._weights_given:
            raise ValueError(f'no weights are published for {model}: give '
                             'the path of a checkpoint')
        return cfg, weights

    def _init_model(self,
                    cfg: Union[Config, ConfigDict],
                    weights: Optional[str],
                    device: str = 'cpu') -> nn.Module:
        """Build the model of a config and load its weights."""
        self._weights = weights
        checkpoint = None if weights is None else read_checkpoint(weights)
        if not cfg:
            cfg.update(saved_config(checkpoint, weights))
        fill_class_counts(cfg, saved_classes(checkpoint or {}))
        model = MODELS.build(cfg.model)
        model.cfg = cfg
        self._load_weights_to_model(model, checkpoint, cfg)
        try:
            return model.to(device).eval()
        except (AssertionError, RuntimeError) as error:
            raise ValueError(
                f'device {device} cannot be used: {error}') from error

    def _load_weights_to_model(self, model: nn.Module,
                               checkpoint: Optional[dict],
                               cfg: Union[Config, ConfigDict]) -> None:
        """Load weights, and say what the classes are.

        ``DetInferencer`` takes those of COCO where a checkpoint names none,
        and builds the test data set for its palette.
        """
        if checkpoint is not None:
            load_fitting(model, checkpoint, self._weights)
        else:
            warnings.warn('no checkpoint is given: the model is random')
        model.dataset_meta = class_metainfo(cfg, saved_classes(checkpoint
                                                               or {}))
        if self.palette != 'none':
            model.dataset_meta['palette'] = self.palette

    def _init_pipeline(self, cfg: Union[Config, ConfigDict]) -> Compose:
        """The test pipeline, for images of any size."""
        return bear_any_image(super()._init_pipeline(cfg))

    def _init_collate(self, cfg: Union[Config, ConfigDict]) -> Callable:
        """MMEngine warns that MMDetection registers no functions."""
        if 'collate_fn' in cfg.test_dataloader:
            return super()._init_collate(cfg)
        return pseudo_collate

    def _init_visualizer(self, cfg: Union[Config,
                                          ConfigDict]) -> TaskVisualizer:
        """The config's visualizer if it is ours, or else a new one.

        Without the backends of a training, which have no folder here.
        """
        settings = cfg.get('visualizer') or {}
        if settings.get('type') != 'TaskVisualizer':
            settings = dict(type='TaskVisualizer')
        return super()._init_visualizer(
            ConfigDict(visualizer=dict(settings, vis_backends=None)))

    def _inputs_to_list(
            self, inputs: Union[ImageInput,
                                Sequence[ImageInput]]) -> List[ImageInput]:
        """As ``DetInferencer``; images of a folder are sorted by name.

        Raises:
            ValueError: If a folder has no image.
        """
        if isinstance(inputs, (str, Path)) and os.path.isdir(inputs):
            return [str(path) for path in images_of_folder(Path(inputs))]
        if not isinstance(inputs, (list, tuple)):
            inputs = [inputs]
        return [
            str(image) if isinstance(image, Path) else image
            for image in inputs
        ]


def images_of_folder(folder: Path) -> List[Path]:
    """The image files in a folder, but not below it, sorted by name.

    Raises:
        ValueError: If there is none.
    """
    paths = sorted(path for path in folder.iterdir()
                   if path.suffix.lower() in IMG_EXTENSIONS)
    if not paths:
        raise ValueError(f'folder {folder} has no image '
                         f'({", ".join(IMG_EXTENSIONS)})')
    return paths


def _check_names(inputs: Sequence[ImageInput]) -> None:
    """Refuse to save what would overwrite one another."""
    names = Counter(
        Path(path).stem for path in inputs if isinstance(path, (str, Path)))
    name, count = names.most_common(1)[0] if names else ('', 0)
    if count > 1:
        raise ValueError(
            f'{count} inputs are named {name}: out_dir can hold the results '
            'of one of them; save them in several folders')


def _save_result(result: dict, folder: Path, name: str) -> dict:
    """Save a result, see `OneFormerInferencer.pred2dict`."""
    folder.mkdir(parents=True, exist_ok=True)
    saved = dict(result)
    encoders = dict(panoptic_seg=encode_panoptic, sem_seg=encode_semantic)
    for key, encode in encoders.items():
        if key in saved:
            path = folder / f'{name}_{key}.png'
            path.write_bytes(encode(saved.pop(key)))
            saved[f'{key}_path'] = str(path)
    if 'sem_seg_scores' in saved:
        path = folder / f'{name}_sem_seg_scores.npy'
        np.save(path, saved.pop('sem_seg_scores'))
        saved['sem_seg_scores_path'] = str(path)
    (folder / f'{name}.json').write_text(json.dumps(saved))
    return saved
