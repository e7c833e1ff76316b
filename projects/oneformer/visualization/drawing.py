"""Overlays of segments on an image, one task per picture."""
import colorsys
from typing import List, Optional, Sequence

import cv2
import numpy as np

from .names import font_size_for, place_names, write_names
from .segments import (Segments, instance_segments, panoptic_segments,
                       semantic_segments)

#: Opacity of a segment's color over the image.
DEFAULT_ALPHA = 0.5
#: Opacity of the white lines between segments.
CONTOUR_ALPHA = 0.75
#: Lightness of the instances of a class, relative to its palette color, so
#: that each differs clearly from the one before it.
SHADES = (0, 0.2, -0.16, 0.1, -0.08, 0.28, -0.22)
#: Pixels painted at once, which bounds the memory of large pictures.
PIXELS_AT_ONCE = 2**21


def shaded(color: Sequence[int], instance: int) -> tuple:
    """The color of a class's n-th instance: its hue, another lightness.

    Instance 0 has the palette's color itself.
    """
    offset = SHADES[instance % len(SHADES)]
    if not offset:
        return tuple(int(value) for value in color)
    hue, lightness, saturation = colorsys.rgb_to_hls(*(value / 255
                                                       for value in color))
    # From near black or white there is no room for both directions.
    lightness = min(max(lightness, 0.32), 0.68) + offset
    return tuple(
        round(255 * value)
        for value in colorsys.hls_to_rgb(hue, lightness, saturation))


def segment_colors(labels: Sequence[int],
                   palette: Sequence[Sequence[int]]) -> np.ndarray:
    """Colors of segments, those of one class in different shades.

    Args:
        labels: N classes.
        palette: One RGB color per class.

    Returns:
        (N, 3) uint8.
    """
    seen = {}
    colors = np.zeros((len(labels), 3), np.uint8)
    for index, label in enumerate(labels):
        seen[label] = seen.get(label, -1) + 1
        colors[index] = shaded(palette[label], seen[label])
    return colors


def contour_width(height: int, width: int) -> int:
    """Width of the lines, in pixels, for a picture of (height, width)."""
    return max(1, round(0.0025 * (height * width)**0.5))


def _paint(picture: np.ndarray, segment_map: np.ndarray, colors: np.ndarray,
           alpha: float) -> None:
    """Blend colors and contours into a picture; void stays as it is."""
    height, width = segment_map.shape
    line = contour_width(height, width)
    kernel = np.ones((line + 1, line + 1), np.uint8)
    rows = max(1, PIXELS_AT_ONCE // width)
    for top in range(0, height, rows):
        here = slice(top, top + rows)
        part, ids = picture[here], segment_map[here]
        # Void pixels take any color here; they are left out at the end.
        tint = colors.take(ids, axis=0, mode='clip')
        tinted = cv2.addWeighted(part, 1 - alpha, tint, alpha, 0)
        # A window that holds two segments touches a contour. Its rows reach
        # beyond the block, so that blocks leave no seams.
        above = max(top - line, 0)
        around = segment_map[above:top + rows + line]
        edge = cv2.dilate(around, kernel) != cv2.erode(around, kernel)
        edge = edge[top - above:][:len(ids)]
        lighter = cv2.convertScaleAbs(
            tinted, alpha=1 - CONTOUR_ALPHA, beta=255 * CONTOUR_ALPHA)
        cv2.copyTo(lighter, edge.astype(np.uint8), tinted)
        cv2.copyTo(tinted, (ids >= 0).astype(np.uint8), part)


def _check(image: np.ndarray, segments: Segments, classes: Sequence[str],
           palette: Sequence) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError('an image must be an (H, W, 3) array of uint8, got '
                         f'shape {image.shape} and type {image.dtype}')
    if segments.map.shape != image.shape[:2]:
        raise ValueError(f'the segments are {segments.map.shape} pixels and '
                         f'the image {image.shape[:2]}: they must agree')
    known = min(len(classes), len(palette))
    wrong = [int(label) for label in segments.labels if not 0 <= label < known]
    if wrong:
        raise ValueError(f'labels {wrong} have no name and color: there are '
                         f'{len(classes)} classes and {len(palette)} colors')


def _texts(segments: Segments, classes: Sequence[str]) -> List[List[str]]:
    """Texts of each segment, the name alone where the score has no room."""
    names = [[classes[label]] for label in segments.labels]
    if segments.scores is None:
        return names
    return [[f'{name[0]} {score:.0%}'] + name
            for name, score in zip(names, segments.scores)]


def draw_segments(image: np.ndarray,
                  segments: Segments,
                  classes: Sequence[str],
                  palette: Sequence[Sequence[int]],
                  alpha: float = DEFAULT_ALPHA) -> np.ndarray:
    """Draw segments over an image: colors, contours and names.

    Lines and fonts scale with the picture. Void is left as it is.

    Args:
        image: (H, W, 3) uint8, RGB; left unchanged.
        segments: Segments on a map of (H, W).
        classes: Name of each label.
        palette: RGB color of each label.
        alpha: Opacity of the colors.

    Returns:
        (H, W, 3) uint8.

    Raises:
        ValueError: If shapes disagree or a label has no name or color.
    """
    _check(image, segments, classes, palette)
    picture = image.copy()
    if not len(segments.labels):
        return picture
    colors = segment_colors(segments.labels, palette)
    _paint(picture, segments.map, colors, alpha)
    names = place_names(segments.map, _texts(segments, classes),
                        font_size_for(*segments.map.shape))
    write_names(picture, names, colors)
    return picture


def draw_panoptic(image: np.ndarray, id_map: np.ndarray,
                  segments: Sequence[dict], classes: Sequence[str],
                  palette: Sequence[Sequence[int]], **kwargs) -> np.ndarray:
    """Draw a panoptic answer, see `panoptic_segments`, `draw_segments`."""
    return draw_segments(image, panoptic_segments(id_map, segments), classes,
                         palette, **kwargs)


def draw_instances(image: np.ndarray, masks: Sequence[np.ndarray],
                   labels: Sequence[int], scores: Optional[Sequence[float]],
                   classes: Sequence[str], palette: Sequence[Sequence[int]],
                   **kwargs) -> np.ndarray:
    """Draw an instance answer, see `instance_segments`, `draw_segments`."""
    segments = instance_segments(masks, labels, scores, image.shape[:2])
    return draw_segments(image, segments, classes, palette, **kwargs)


def draw_semantic(image: np.ndarray, label_map: np.ndarray,
                  classes: Sequence[str], palette: Sequence[Sequence[int]],
                  **kwargs) -> np.ndarray:
    """Draw a semantic answer, see `semantic_segments`, `draw_segments`."""
    segments = semantic_segments(label_map, len(classes))
    return draw_segments(image, segments, classes, palette, **kwargs)
