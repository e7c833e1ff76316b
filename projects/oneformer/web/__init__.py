"""A web page that answers all three tasks for an image.

`page` needs Gradio (the extra ``web``), the rest does not.
"""
from .answer import Answer, ImageError, answer_image, check_image
from .legend import legend_html

__all__ = [
    'Answer', 'ImageError', 'answer_image', 'check_image', 'legend_html'
]
