"""A sheet of what each task makes of a training image."""
from collections import Counter
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

from ..tasks import padding_text
from .drawing import draw_segments
from .names import MIN_FONT_SIZE, load_font
from .segments import instance_segments
from .sheet import PAPER, legend, panel_size, resize_image, sheet

#: Range of the longer side of a picture, in pixels.
PANEL_SIZES = 440, 720

#: A line of text, and the RGB color of what it speaks of.
Line = Tuple[str, Sequence[int]]


def training_sheet(views: Dict[str, dict],
                   classes: Sequence[str],
                   palette: Sequence[Sequence[int]],
                   remarks: Sequence[str] = (),
                   num_texts: Optional[int] = None) -> np.ndarray:
    """Draw an image, and the masks and texts of each task.

    Args:
        views: What each task makes of the image, in BGR, see `task_views`.
        classes: Name of each label.
        palette: RGB color of each label.
        remarks: To stand below the image.
        num_texts: Texts of an image, padding included; None if the model has
            no text mapper.

    Returns:
        (H, W, 3) uint8, RGB.
    """
    first = next(iter(views.values()))
    image = first['img'][..., ::-1].clip(0, 255).astype(np.uint8)
    size = panel_size(*image.shape[:2], *PANEL_SIZES)
    image = resize_image(image, *size)
    titles, pictures = ['Image'], [image]
    lists = [[(line, PAPER) for line in (*_describe(first), *remarks)]]
    for task, view in views.items():
        masks = view['gt_masks']
        segments = instance_segments(
            masks.masks,
            view['gt_bboxes_labels'],
            shape=(masks.height, masks.width))
        titles.append(f'{task.capitalize()}: {_number(len(masks), "mask")}')
        pictures.append(
            draw_segments(image, segments.resized(*size), classes, palette))
        lists.append(text_lines(view, palette, num_texts))
    return sheet(_with_lists(pictures, lists), titles)


def text_lines(view: dict, palette: Sequence[Sequence[int]],
               num_texts: Optional[int]) -> List[Line]:
    """The different texts of an image, in the colors of their classes.

    Args:
        view: With ``task``, ``texts``, ``gt_bboxes_labels`` and
            ``class_order``.
        palette, num_texts: See `training_sheet`.
    """
    texts = view['texts']
    # texts stand in the order of the classes, masks in that of the segments
    labels = sorted(
        view['gt_bboxes_labels'].tolist(), key=view['class_order'].index)
    colors = {text: palette[label] for text, label in zip(texts, labels)}
    lines = [(text if times == 1 else f'{times} \u00d7 {text}', colors[text])
             for text, times in Counter(texts).items()]
    if num_texts is None:
        return lines
    padding = num_texts - len(texts)
    if padding >= 0:
        filling = padding_text(view['task'])
        return [*lines, (f'{padding} \u00d7 {filling} (padding)', PAPER)]
    return [
        *lines,
        (f'the last {-padding} of them are cut off: the model takes '
         f'{num_texts}', PAPER)
    ]


def _describe(view: dict) -> List[str]:
    """What is to be known of an image, whatever the task."""
    (height, width), here = view['ori_shape'][:2], view['img'].shape
    segments = view['segments_info']
    crowds = sum(segment['iscrowd'] for segment in segments)
    return [
        Path(view['img_path']).name,
        f'{width} \u00d7 {height} pixels, here {here[1]} \u00d7 {here[0]}',
        f'flip: {view.get("flip_direction") or "none"}',
        'annotated: ' + _number(len(segments), 'segment') +
        f', {crowds} of them crowds' * bool(crowds),
    ]


def _number(number: int, name: str) -> str:
    return f'{number} {name}' + 's' * (number != 1)


def _with_lists(pictures: Sequence[np.ndarray],
                lists: Sequence[Sequence[Line]]) -> List[np.ndarray]:
    """Pictures with a list below each."""
    width = pictures[0].shape[1]
    panels = [_panel(lines, width) for lines in lists]
    height = max(panel.shape[0] for panel in panels)
    gap = round(0.02 * width)
    return [
        np.concatenate([
            picture,
            np.pad(
                panel, ((gap, height - panel.shape[0]), (0, 0), (0, 0)),
                constant_values=PAPER[0])
        ]) for picture, panel in zip(pictures, panels)
    ]


def _panel(lines: Sequence[Line], width: int) -> np.ndarray:
    """A `legend` of a width with a font that the longest line allows."""
    if not lines:
        return np.full((1, width, 3), PAPER, np.uint8)
    texts, colors = zip(*lines)
    size = max(MIN_FONT_SIZE, round(width / 32))
    while size > MIN_FONT_SIZE and 3 * size + max(
            map(load_font(size).getlength, texts)) > width:
        size -= 1
    panel = legend(texts, colors, width, size)
    if set(colors) == {PAPER}:  # no swatches to leave room for
        panel = np.roll(panel, -2 * size, axis=1)
    return panel
