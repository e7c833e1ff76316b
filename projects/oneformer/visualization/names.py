"""Names that stand inside the segments they name."""
import os.path as osp
import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import List, Sequence, Tuple

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

#: Smallest size, in pixels, at which the font is read without effort.
MIN_FONT_SIZE = 9
#: Sizes tried for a name, times the picture's own size: first those that are
#: read at a glance, for each of a segment's texts, then smaller ones.
SIZE_STEPS = ((1.15, 1, 0.85), (0.7, 0.55))
#: Part of a name's box that must lie in its segment. Below 1, since speckles
#: and thin poles through a large segment would otherwise leave it nameless.
MIN_INSIDE = 0.95
#: Longer side of the map on which places are searched.
SEARCH_SIZE = 640


@dataclass(frozen=True)
class Name:
    """A text and its place.

    Attributes:
        text: What is written.
        segment: Index of the segment.
        box: x and y of the upper left corner, x and y behind the lower right
            one, in pixels, halo included.
        font_size: In pixels.
    """
    text: str
    segment: int
    box: Tuple[int, int, int, int]
    font_size: int


@lru_cache(maxsize=64)
def load_font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib ships, at ``size`` pixels."""
    name = 'DejaVuSans-Bold.ttf' if bold else 'DejaVuSans.ttf'
    return ImageFont.truetype(
        osp.join(matplotlib.get_data_path(), 'fonts', 'ttf', name), size)


def short_names(classes: Sequence[str]) -> List[str]:
    """Class names as people say them, where that leaves them different.

    Of synonyms separated by commas, as in ADE20K, the first one stands; what
    COCO appends to names, as in 'sky-other-merged', is left out.
    """
    short = [
        re.sub('(-other)?(-merged|-stuff)?$', '',
               name.split(',')[0].strip()) or name for name in classes
    ]
    times = Counter([*short, *set(classes)])
    return [
        name if times[name] == 1 + (name == whole) else whole
        for name, whole in zip(short, classes)
    ]


def font_size_for(height: int, width: int) -> int:
    """Font size, in pixels, for a picture of (height, width) pixels."""
    return max(MIN_FONT_SIZE + 1, round(0.025 * (height * width)**0.5))


def _halo_width(font_size: int) -> int:
    return max(1, round(font_size / 9))


def _ink_box(text: str, font_size: int) -> Tuple[int, int, int, int]:
    """Box of a text drawn at the origin, halo included."""
    return load_font(font_size).getbbox(
        text, anchor='lt', stroke_width=_halo_width(font_size))


def _best_centre(mask: np.ndarray, taken: np.ndarray, box_height: int,
                 box_width: int) -> Tuple[int, int]:
    """Centre (y, x) of the box that stands deepest in a mask.

    Args:
        mask: (h, w) uint8, 1 inside the segment.
        taken: (h, w) uint8, 1 where other names stand.
        box_height: In cells of the mask.
        box_width: In cells of the mask.

    Returns:
        A centre, or None where no box fits.
    """
    if box_height > mask.shape[0] or box_width > mask.shape[1]:
        return None
    size = (box_width, box_height)
    count = dict(normalize=False, borderType=cv2.BORDER_CONSTANT)
    inside = cv2.boxFilter(mask, cv2.CV_32F, size, **count)
    fits = inside >= MIN_INSIDE * box_height * box_width
    if taken.any():
        fits &= cv2.boxFilter(taken, cv2.CV_32F, size, **count) == 0
    if not fits.any():
        return None
    depth = cv2.distanceTransform(
        np.pad(fits, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    # Many places may be equally deep, as along a strip: take the middle one.
    ys, xs = np.nonzero(depth >= depth.max() - 0.5)
    middle = np.argmin((ys - ys.mean())**2 + (xs - xs.mean())**2)
    return int(ys[middle]), int(xs[middle])


def _search(mask: np.ndarray, taken: np.ndarray, texts: Sequence[str],
            font_size: int, step: int):
    """First of the texts, at the largest size, that has a place in a mask.

    Returns:
        Text, font size and the box's (y, x, height, width) in cells of the
        mask, or None where nothing fits.
    """
    for text, size in _trials(texts, font_size):
        left, top, right, bottom = _ink_box(text, size)
        # A margin keeps names off the contours.
        margin = round(size / 6)
        # On a reduced map, one more cell makes up for the rounding.
        height, width = (-(-(length + margin) // step) + (step > 1)
                         for length in (bottom - top, right - left))
        centre = _best_centre(mask, taken, height, width)
        if centre is not None:
            return text, size, (centre[0] - height // 2,
                                centre[1] - width // 2, height, width)
    return None


def _trials(texts: Sequence[str], font_size: int) -> List[Tuple[str, int]]:
    """Texts and sizes in the order in which they are tried, each once."""
    trials = [(text, max(MIN_FONT_SIZE, round(font_size * factor)))
              for factors in SIZE_STEPS for text in texts
              for factor in factors]
    return list(dict.fromkeys(trials))


def place_names(segment_map: np.ndarray, texts: Sequence[Sequence[str]],
                font_size: int) -> List[Name]:
    """Find places for the names of segments, the largest segments first.

    A name stands where it is deepest inside its segment, smaller where there
    is little room, and is left out where it does not fit: it neither leaves
    its segment nor overlaps another name.

    Args:
        segment_map: (H, W) int, indices into ``texts``, -1 for none.
        texts: For each segment its texts, the preferred one first.
        font_size: In pixels.
    """
    step = -(-max(segment_map.shape) // SEARCH_SIZE)
    cells = segment_map[::step, ::step]
    taken = np.zeros(cells.shape, np.uint8)
    areas = np.bincount(cells.ravel() + 1, minlength=len(texts) + 1)[1:]
    parts = ndimage.find_objects(cells + 1, max_label=len(texts))
    names = []
    for index in np.argsort(-areas, kind='stable'):
        if not areas[index]:
            break
        part = parts[index]
        found = _search((cells[part] == index).astype(np.uint8), taken[part],
                        texts[index], font_size, step)
        if found is None:
            continue
        text, size, (y, x, height, width) = found
        y, x = y + part[0].start, x + part[1].start
        taken[y:y + height, x:x + width] = 1
        names.append(
            Name(
                text, int(index),
                _ink_at(text, size, (2 * x + width) * step,
                        (2 * y + height) * step), size))
    return names


def _ink_at(text: str, font_size: int, twice_x: int,
            twice_y: int) -> Tuple[int, int, int, int]:
    """Box of a text whose centre is at half of the given coordinates."""
    left, top, right, bottom = _ink_box(text, font_size)
    x = (twice_x - (right - left)) // 2
    y = (twice_y - (bottom - top)) // 2
    return x, y, x + right - left, y + bottom - top


def write_names(picture: np.ndarray, names: Sequence[Name],
                colors: np.ndarray) -> None:
    """Write names into a picture, white in a halo of their segment's hue.

    Args:
        picture: (H, W, 3) uint8, changed in place.
        names: Texts and places, as from `place_names`.
        colors: (N, 3) uint8, the color of each segment.
    """
    for name in names:
        x0, y0, x1, y1 = name.box
        patch = Image.fromarray(picture[y0:y1, x0:x1])
        left, top = _ink_box(name.text, name.font_size)[:2]
        halo = tuple(int(value) // 4 for value in colors[name.segment])
        ImageDraw.Draw(patch).text((-left, -top),
                                   name.text,
                                   fill=(255, 255, 255),
                                   font=load_font(name.font_size),
                                   anchor='lt',
                                   stroke_width=_halo_width(name.font_size),
                                   stroke_fill=halo)
        picture[y0:y1, x0:x1] = np.asarray(patch)
