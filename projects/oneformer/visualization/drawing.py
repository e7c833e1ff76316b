"""Overlays of segments on an image, one task per picture."""
from typing import List, Optional, Sequence

import cv2
import numpy as np

from .colors import segment_colors
from .names import font_size_for, place_names, short_names, write_names
from .segments import (Segments, instance_segments, panoptic_segments,
                       semantic_segments)

#: Opacity of a segment's color over the image.
DEFAULT_ALPHA = 0.5
#: Opacity of the white lines between segments.
CONTOUR_ALPHA = 0.85
#: Share of a contour's surroundings that may be contour before it fades.
LOOSE_DENSITY = 0.25
#: Pixels painted at once, which bounds the memory of large pictures.
PIXELS_AT_ONCE = 2**21


def contour_width(height: int, width: int) -> int:
    """Width of the lines, in pixels, for a picture of (height, width)."""
    return max(1, round(0.0025 * (height * width)**0.5))


def _paint(picture: np.ndarray, segment_map: np.ndarray, colors: np.ndarray,
           alpha: float) -> None:
    """Blend colors and contours into a picture; void stays as it is."""
    height, width = segment_map.shape
    line = contour_width(height, width)
    rows = max(1, PIXELS_AT_ONCE // width)
    # Contours see beyond the block, so that blocks leave no seams.
    margin = 6 * line + 2
    for top in range(0, height, rows):
        part, ids = (some[top:top + rows] for some in (picture, segment_map))
        # Void pixels take any color here; they are left out at the end.
        tint = colors.take(ids, axis=0, mode='clip')
        tinted = cv2.addWeighted(part, 1 - alpha, tint, alpha, 0)
        above = max(top - margin, 0)
        opacity = contours(segment_map[above:top + rows + margin], line)
        opacity = opacity[top - above:][:len(ids)]
        white = np.full_like(tinted, 255)
        lined = cv2.blendLinear(white, tinted, opacity, 1 - opacity)
        cv2.copyTo(lined, (ids >= 0).astype(np.uint8), part)


def contours(segment_map: np.ndarray, line: int) -> np.ndarray:
    """Opacity of the lines between segments.

    Lines are smooth, and weaker where they are dense, or else thin segments
    such as branches would be nothing but lines.

    Args:
        segment_map: (H, W) int16.
        line: Width in pixels.

    Returns:
        (H, W) float32.
    """
    # A window that holds two segments touches a contour.
    kernel = np.ones((line + 1, line + 1), np.uint8)
    edge = cv2.dilate(segment_map, kernel) != cv2.erode(segment_map, kernel)
    edge = edge.astype(np.float32)
    window = 6 * line + 1
    density = cv2.blur(edge, (window, window))
    smooth = cv2.GaussianBlur(edge, (3, 3), 0.6)
    weaker = LOOSE_DENSITY / np.maximum(density, LOOSE_DENSITY)
    return CONTOUR_ALPHA * smooth * weaker


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
    short = short_names(classes)
    names = [[short[label]] for label in segments.labels]
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
    colors = segment_colors(segments.map, segments.labels, palette)
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
