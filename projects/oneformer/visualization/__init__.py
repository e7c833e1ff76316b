"""Pictures of what a model answers: one task per picture."""
from .colors import segment_colors
from .drawing import (draw_instances, draw_panoptic, draw_segments,
                      draw_semantic)
from .names import short_names
from .segments import (Segments, encoded_segments, instance_segments,
                       panoptic_segments, semantic_segments)
from .sheet import legend, panel_size, resize_image, sheet, sheet_with_legend
from .task_visualizer import (TaskVisualizer, annotated_segments,
                              predicted_segments)

__all__ = [
    'Segments', 'TaskVisualizer', 'annotated_segments', 'draw_instances',
    'draw_panoptic', 'draw_segments', 'draw_semantic', 'encoded_segments',
    'instance_segments', 'legend', 'panel_size', 'panoptic_segments',
    'predicted_segments', 'resize_image', 'segment_colors',
    'semantic_segments', 'sheet', 'sheet_with_legend', 'short_names'
]
