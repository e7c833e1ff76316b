"""Transforms of the panoptic training pipeline."""
from .loading import LoadPanopticMap
from .task_sampling import TaskSampling

__all__ = ['LoadPanopticMap', 'TaskSampling']
