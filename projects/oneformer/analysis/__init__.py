"""What a model costs: its parameters and multiply-adds."""
from .complexity import Complexity, MultiplyAdds, Parameters, complexity
from .image_sizes import coco_complexity

__all__ = [
    'Complexity', 'MultiplyAdds', 'Parameters', 'coco_complexity', 'complexity'
]
