"""Data sets, and the way from their files to a training sample."""
from .id_map import id_runs, read_id_map
from .panoptic_dataset import (PanopticDataset, load_panoptic_json,
                               panoptic_metainfo)
from .transforms import LoadPanopticMap, TaskSampling

__all__ = [
    'PanopticDataset', 'LoadPanopticMap', 'TaskSampling', 'id_runs',
    'load_panoptic_json', 'panoptic_metainfo', 'read_id_map'
]
