"""Transforms of the training pipelines."""
from .loading import LoadInstanceMap, LoadPanopticMap, LoadSemanticMap
from .task_sampling import TaskSampling

__all__ = [
    'LoadInstanceMap', 'LoadPanopticMap', 'LoadSemanticMap', 'TaskSampling'
]
