"""Metrics of the three tasks, with ground truth from panoptic annotations."""
from .instance_metric import InstanceMetric
from .panoptic_metric import PanopticQualityMetric
from .semantic_metric import SemanticMetric

__all__ = ['InstanceMetric', 'PanopticQualityMetric', 'SemanticMetric']
