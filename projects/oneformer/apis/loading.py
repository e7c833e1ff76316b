"""What a model for inference is made of: config, weights, class names."""
import difflib
from pathlib import Path
from typing import Dict, Optional, Tuple, Union

from mmengine.config import Config, ConfigDict
from mmengine.infer import BaseInferencer
from mmengine.runner import CheckpointLoader
from torch import nn

from ..checkpoints.files import read_pickle
from ..checkpoints.structure import TEMPERATURE, TEXT_MAPPER, check_fit
from ..datasets import panoptic_metainfo
from .config import (annotation_files, annotation_metainfo, complete_config,
                     merge_options, named_categories)

#: What MMEngine takes for a config.
CONFIG_SUFFIXES = ('.py', '.yaml', '.yml', '.json')
#: The root of the repository, where the model index stands.
ROOT = Path(__file__).resolve().parents[3]


def find_model(name: str,
               root: Optional[Path] = None) -> Tuple[Config, Optional[str]]:
    """A model of the model index.

    Args:
        name: ``Name`` or ``Alias`` in a metafile that ``model-index.yml``
            imports, in any case of letters.
        root: The folder of the index, by default that of the repository.

    Returns:
        tuple: Its config, and its weights where the metafile names some.

    Raises:
        FileNotFoundError: If there is no such model, nor a file of this name.
    """
    root = root or ROOT
    models = {}
    if (root / 'model-index.yml').is_file():
        for model in BaseInferencer._get_models_from_metafile(str(root)):
            aliases = model.get('Alias', [])
            aliases = [aliases] if isinstance(aliases, str) else aliases
            for known in (model['Name'], *aliases):
                models[known.lower()] = model
    if name.lower() not in models:
        similar = difflib.get_close_matches(name.lower(), models)
        hint = f' (similar: {", ".join(similar)})' if similar else ''
        raise FileNotFoundError(
            f'{name} is neither a config file that exists nor the name of a '
            f'model in model-index.yml{hint}')
    model = models[name.lower()]
    weights = model.get('Weights')
    weights = weights[0] if isinstance(weights, list) else weights
    return Config.fromfile(root / model['Config']), weights


def inference_config(model: str, options: Optional[dict] = None) -> Config:
    """A config by its path or by the name of a model, with overrides.

    Args:
        model: Path of a config file, or see `find_model`.
        options: Settings that override it, under dotted names.

    Raises:
        FileNotFoundError: If there is no such file or model.
        ValueError: If it is no config of a model, or as `merge_options`.
    """
    path = Path(model)
    if path.is_file() and path.suffix not in CONFIG_SUFFIXES:
        raise ValueError(f'{model} is no config: it must end in '
                         f'{" or ".join(CONFIG_SUFFIXES)}')
    cfg = Config.fromfile(model) if path.is_file() else find_model(model)[0]
    merge_options(cfg, options)
    if 'model' not in cfg:
        raise ValueError(f'{model} configures no model')
    return cfg


def read_checkpoint(path: str) -> dict:
    """The content of a checkpoint; of a local one no code is run.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If it is cut short or no checkpoint.
    """
    if '://' in str(path):
        return CheckpointLoader.load_checkpoint(str(path), map_location='cpu')
    content = read_pickle(path)
    return content if isinstance(content, dict) else {}


def saved_config(checkpoint: dict, path: str) -> ConfigDict:
    """The config that training keeps in a checkpoint.

    Raises:
        ValueError: If there is none.
    """
    text = checkpoint.get('meta', {}).get('cfg')
    if not isinstance(text, str):
        raise ValueError(f'{path} holds no config: give one by its path or '
                         'by the name of a model')
    return Config.fromstring(text, file_format='.py')._cfg_dict


def load_fitting(model: nn.Module, checkpoint: dict, path: str) -> None:
    """Load weights, all that inference needs and no others.

    MMEngine only reports what does not fit, and leaves it random.

    Args:
        model: A `OneFormer`. Its text mapper is left as it is.
        checkpoint: See `read_checkpoint`.
        path: Of the checkpoint; named in errors.

    Raises:
        CheckpointError: If weights are missing, left over or of another
            shape; text mapper and contrastive loss do not count.
    """

    def needed(tensors: dict) -> dict:
        return {
            name: value
            for name, value in tensors.items()
            if not name.startswith((TEXT_MAPPER, TEMPERATURE))
        }

    tensors = needed({
        name.removeprefix('module.'): value
        for name, value in checkpoint.get('state_dict', checkpoint).items()
        if hasattr(value, 'shape')
    })
    own = needed(model.state_dict())
    check_fit(tensors, {name: tuple(own[name].shape)
                        for name in own}, str(path))
    model.load_state_dict(tensors, strict=False)


def saved_classes(checkpoint: dict) -> dict:
    """The ``dataset_meta`` of a checkpoint, {} where it has none."""
    saved = checkpoint.get('meta', {}).get('dataset_meta') or {}
    return {key.lower(): value for key, value in saved.items()}


def fill_class_counts(cfg: Union[Config, ConfigDict], saved: dict) -> None:
    """Give the model its class counts, in place.

    From the config, the checkpoint, or the data sets of the config, see
    `complete_config`: in this order, for who has a checkpoint may have no
    data.

    Args:
        cfg: Its ``model`` is changed.
        saved: See `saved_classes`.

    Raises:
        FileNotFoundError, ValueError: See `complete_config`.
    """
    lists = dict(
        num_things_classes=saved.get('thing_classes'),
        num_stuff_classes=saved.get('stuff_classes'))
    missing = [name for name in lists if cfg.model.get(name) is None]
    for name in missing:
        if lists[name] is not None:
            cfg.model[name] = len(lists[name])
    if any(lists[name] is None for name in missing):
        complete_config(cfg)


def class_metainfo(cfg: Union[Config, ConfigDict],
                   saved: dict) -> Dict[str, object]:
    """Names, colors and ids of the classes of a model.

    Args:
        cfg: The config, with class counts.
        saved: See `saved_classes`. It comes first; what it lacks is taken
            from the data sets of the config where these have the same
            classes. Categories of unknown ids are numbered from 1, and get
            distinct colors.

    Returns:
        dict: ``classes``, ``thing_classes``, ``stuff_classes``, ``palette``
        and ``category_ids`` by label, and ``class_order``, the labels in the
        order of the data set; see `panoptic_metainfo`.

    Raises:
        ValueError: If there are no names, or another number of them.
    """
    configured = _configured_classes(cfg, saved)
    classes = tuple((saved or configured).get('classes') or ())
    things, stuff = cfg.model.num_things_classes, cfg.model.num_stuff_classes
    if not classes:
        raise ValueError(
            'the classes have no names: the checkpoint has no dataset_meta, '
            'and no data set of the config names categories or an annotation '
            'that is here')
    if len(classes) != things + stuff:
        raise ValueError(
            f'{len(classes)} classes are named ({classes[0]}, ...), but the '
            f'model has {things} things and {stuff} stuff classes')
    made = panoptic_metainfo([
        dict(id=label + 1, name=name, isthing=int(label < things))
        for label, name in enumerate(classes)
    ], 'the checkpoint')
    if configured.get('classes') == classes:
        made.update(configured)
    return {**made, **saved}


def _configured_classes(cfg: Union[Config, ConfigDict], saved: dict) -> dict:
    """Meta information of the data sets of a config, {} if not needed.

    Annotations, which are large, are read where nothing else has names.
    """
    if {'classes', 'palette', 'category_ids', 'class_order'} <= set(saved):
        return {}
    named = named_categories(cfg)
    if named:
        return named[0]
    if 'classes' not in saved:
        for path in annotation_files(cfg):
            if Path(path).is_file():
                return annotation_metainfo(path)
    return {}
