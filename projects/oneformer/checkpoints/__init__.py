"""Checkpoints of the official code and of Hugging Face, both ways."""
from .class_order import ClassOrder, find_class_order
from .convert import backbone_to_mmdet, from_mmdet, split_text_mapper, to_mmdet
from .files import (fingerprint, read_huggingface, read_pickle, tensors_of,
                    write_huggingface, write_torch)
from .huggingface_config import check_config, class_names, huggingface_config
from .names import HUGGING_FACE, OFFICIAL, OURS
from .structure import CheckpointError, build_on_meta, model_shapes, sizes

__all__ = [
    'HUGGING_FACE',
    'OFFICIAL',
    'OURS',
    'CheckpointError',
    'ClassOrder',
    'backbone_to_mmdet',
    'build_on_meta',
    'check_config',
    'class_names',
    'find_class_order',
    'fingerprint',
    'from_mmdet',
    'huggingface_config',
    'model_shapes',
    'read_huggingface',
    'read_pickle',
    'sizes',
    'split_text_mapper',
    'tensors_of',
    'to_mmdet',
    'write_huggingface',
    'write_torch',
]
