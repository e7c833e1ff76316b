"""OneFormer's semantic task in MMSegmentation.

Imported by the configs in ``configs/mmseg`` alone: it loads and registers the
models of MMSegmentation.
"""
from .oneformer_segmentor import OneFormerSegmentor
from .oneformer_tta import OneFormerTTAModel

__all__ = ['OneFormerSegmentor', 'OneFormerTTAModel']
