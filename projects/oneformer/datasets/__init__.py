"""Data sets, and the way from their files to a training sample."""
from .base_dataset import BaseSegmentationDataset
from .categories import CATEGORIES, find_categories
from .coco_json import load_coco_json, load_panoptic_json
from .id_map import id_runs, read_id_map
from .instance_dataset import InstanceDataset
from .metainfo import complete_categories, match_categories, panoptic_metainfo
from .mixed_dataset import MixedDataset
from .panoptic_dataset import PanopticDataset
from .semantic_dataset import SemanticDataset
from .semantic_map import read_semantic_map
from .transforms import (LoadInstanceMap, LoadPanopticMap, LoadSemanticMap,
                         TaskSampling)

__all__ = [
    'BaseSegmentationDataset', 'CATEGORIES', 'InstanceDataset',
    'LoadInstanceMap', 'LoadPanopticMap', 'LoadSemanticMap', 'MixedDataset',
    'PanopticDataset', 'SemanticDataset', 'TaskSampling',
    'complete_categories', 'find_categories', 'id_runs', 'load_coco_json',
    'load_panoptic_json', 'match_categories', 'panoptic_metainfo',
    'read_id_map', 'read_semantic_map'
]
