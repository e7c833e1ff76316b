"""OneFormer: one model, trained once, for the three segmentation tasks.

Importing this package registers its components with MMDetection's registries.
"""
import contextlib
import io
import warnings

from .compiled_ops import install_placeholder

install_placeholder()

# MMDetection reports optional packages that nothing here uses.
with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
    warnings.filterwarnings('ignore', message='faster_coco_eval')
    import mmdet.datasets
    import mmdet.evaluation

from . import datasets, engine, evaluation, models, visualization  # noqa: E402

__all__ = ['datasets', 'engine', 'evaluation', 'models', 'visualization']
