"""Pictures side by side on one sheet, with titles and a legend."""
import math
from typing import Optional, Sequence, Tuple

import cv2
import numpy as np
from PIL import Image, ImageDraw

from .names import MIN_FONT_SIZE, load_font

PAPER = (255, 255, 255)
INK = (30, 30, 30)


def panel_size(height: int, width: int, smallest: int,
               largest: int) -> Tuple[int, int]:
    """Size at which an image is shown: its own, unless too small or large.

    Args:
        height: Of the image, in pixels.
        width: Of the image, in pixels.
        smallest: Least length of the longer side.
        largest: Greatest length of the longer side.

    Returns:
        Height and width, at least 1, in the image's aspect ratio.
    """
    longer = max(height, width)
    scale = min(max(longer, smallest), largest) / longer
    return max(1, round(height * scale)), max(1, round(width * scale))


def resize_image(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """An image of (H, W, 3) uint8 at another size, smooth either way."""
    if image.shape[:2] == (height, width):
        return image
    enlarge = height * width > image.shape[0] * image.shape[1]
    return cv2.resize(
        image, (width, height),
        interpolation=cv2.INTER_CUBIC if enlarge else cv2.INTER_AREA)


def sheet(pictures: Sequence[np.ndarray],
          titles: Sequence[str],
          columns: Optional[int] = None) -> np.ndarray:
    """Put pictures in rows on one white sheet, a title above each.

    Args:
        pictures: Arrays of (H, W, 3) uint8, not necessarily of one size.
        titles: One per picture.
        columns: Pictures in a row; by default all of them.

    Returns:
        (H, W, 3) uint8.

    Raises:
        ValueError: If there is no picture, or not one title for each.
    """
    if not len(pictures) or len(pictures) != len(titles):
        raise ValueError(f'{len(pictures)} pictures and {len(titles)} titles:'
                         ' there must be at least one, and one title each')
    columns = min(columns or len(pictures), len(pictures))
    rows = math.ceil(len(pictures) / columns)
    height, width = np.max([picture.shape[:2] for picture in pictures], axis=0)
    font = load_font(max(MIN_FONT_SIZE + 3, round(0.034 * width)), bold=True)
    width = max(width, *(math.ceil(font.getlength(title)) for title in titles))
    gap = max(4, round(0.02 * width))
    above = round(1.7 * font.size)
    paper = np.full((rows * (above + height + gap) + gap, columns *
                     (width + gap) + gap, 3), PAPER, np.uint8)
    for index, (picture, title) in enumerate(zip(pictures, titles)):
        row, column = divmod(index, columns)
        x = gap + column * (width + gap)
        y = gap + row * (above + height + gap)
        _write(paper[y:y + above, x:x + width], title, font)
        paper[y + above:, x:][:picture.shape[0], :picture.shape[1]] = picture
    return paper


def _write(area: np.ndarray, text: str, font) -> None:
    """Write a line of text into an area of a sheet, vertically centred."""
    patch = Image.fromarray(area)
    ImageDraw.Draw(patch).text((0, area.shape[0] / 2),
                               text,
                               fill=INK,
                               font=font,
                               anchor='lm')
    area[:] = np.asarray(patch)


def legend(names: Sequence[str], colors: Sequence[Sequence[int]], height: int,
           width: int) -> np.ndarray:
    """A panel with a swatch of color beside each name.

    The font is the largest with which all names fit; where even the smallest
    is too large, the last line says how many are left out.

    Args:
        names: Any number.
        colors: One RGB color per name.
        height: Of the panel, in pixels.
        width: Of the panel, in pixels.

    Returns:
        (height, width, 3) uint8.
    """
    for size in range(
            max(MIN_FONT_SIZE, round(0.034 * width)), MIN_FONT_SIZE - 1, -1):
        line = round(1.6 * size)
        longest = max((load_font(size).getlength(name) for name in names),
                      default=0)
        columns = max(1, int(width // (longest + 3 * size)))
        rows = max(1, height // line)
        if rows * columns >= len(names):
            break
    left_out = len(names) - rows * columns
    if left_out > 0:
        shown = rows * columns - 1
        names = list(names[:shown]) + [f'and {left_out + 1} more']
        colors = list(colors[:shown]) + [PAPER]
    panel = Image.new('RGB', (width, height), PAPER)
    draw = ImageDraw.Draw(panel)
    # Columns are filled from top to bottom and as even as can be.
    rows = math.ceil(len(names) / columns) if len(names) else 1
    for index, (name, color) in enumerate(zip(names, colors)):
        x = index // rows * (width // columns)
        y = index % rows * line
        draw.rectangle((x, y + (line - size) // 2, x + round(1.5 * size), y +
                        (line + size) // 2), tuple(map(int, color)))
        draw.text((x + 2 * size, y + line / 2),
                  name,
                  fill=INK,
                  font=load_font(size),
                  anchor='lm')
    return np.array(panel)
