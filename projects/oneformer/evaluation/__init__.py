"""Metrics of the three tasks, each under the name of what it measures."""
from .cityscapes_instance_metric import CityscapesInstanceMetric
from .instance_metric import InstanceMetric
from .panoptic_metric import PanopticQualityMetric
from .semantic_metric import SemanticMetric

__all__ = [
    'CityscapesInstanceMetric', 'InstanceMetric', 'PanopticQualityMetric',
    'SemanticMetric'
]
