"""Pictures of what a model answers: one task per picture."""
from .drawing import (draw_instances, draw_panoptic, draw_segments,
                      draw_semantic)
from .segments import (Segments, encoded_segments, instance_segments,
                       panoptic_segments, semantic_segments)
from .sheet import legend, panel_size, resize_image, sheet
from .task_visualizer import (TaskVisualizer, annotated_segments,
                              predicted_segments)

__all__ = [
    'Segments', 'TaskVisualizer', 'annotated_segments', 'draw_instances',
    'draw_panoptic', 'draw_segments', 'draw_semantic', 'encoded_segments',
    'instance_segments', 'legend', 'panel_size', 'panoptic_segments',
    'predicted_segments', 'resize_image', 'semantic_segments', 'sheet'
]
