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
    font = load_font(_title_size(height, width), bold=True)
    width = max(width, *(math.ceil(font.getlength(title)) for title in titles))
    gap = _gap(width)
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


def _gap(width: int) -> int:
    """Distance between pictures of a width, in pixels."""
    return max(4, round(0.02 * width))


def _write(area: np.ndarray, text: str, font) -> None:
    """Write a line of text into an area of a sheet, vertically centred."""
    patch = Image.fromarray(area)
    ImageDraw.Draw(patch).text((0, area.shape[0] / 2),
                               text,
                               fill=INK,
                               font=font,
                               anchor='lm')
    area[:] = np.asarray(patch)


def _title_size(height: int, width: int) -> int:
    """Size of the font, in pixels, above pictures of (height, width)."""
    return max(MIN_FONT_SIZE + 3, round(0.034 * min(width, 1.5 * height)))


def columns_for(number: int, height: int, width: int) -> int:
    """Into how many columns pictures of (height, width) are best put."""
    if width > 2 * height:
        return 1 if number <= 3 else 2
    return 2 if number == 4 else min(number, 3)


def sheet_with_legend(pictures: Sequence[np.ndarray], titles: Sequence[str],
                      names: Sequence[str],
                      colors: Sequence[Sequence[int]]) -> np.ndarray:
    """A `sheet` of pictures of one size and what their colors mean.

    The `legend` stands where a row has room for one more picture, or else
    below all rows.

    Args:
        pictures: Arrays of (H, W, 3) uint8.
        titles: One per picture.
        names: Names of the classes that are seen.
        colors: One RGB color per name.

    Returns:
        (H, W, 3) uint8.
    """
    height, width = pictures[0].shape[:2]
    columns = columns_for(len(pictures), height, width)
    font_size = round(0.9 * _title_size(height, width))
    if len(pictures) % columns:
        key = legend(names, colors, width, font_size, height)
        return sheet([*pictures, key], [*titles, 'Classes'], columns)
    whole = sheet(pictures, titles, columns)
    if not len(names):
        return whole
    gap = _gap(width)
    key = legend(names, colors, whole.shape[1] - 2 * gap, font_size)
    key = np.pad(key, ((0, gap), (gap, gap), (0, 0)), constant_values=PAPER[0])
    return np.concatenate([whole, key])


def legend(names: Sequence[str],
           colors: Sequence[Sequence[int]],
           width: int,
           font_size: int,
           height: Optional[int] = None) -> np.ndarray:
    """A panel with a swatch of color beside each name.

    Where the height is given and the names need more, the font is smaller;
    where even the smallest is too large, the last line says how many names
    are left out.

    Args:
        names: Any number.
        colors: One RGB color per name.
        width: Of the panel, in pixels.
        font_size: In pixels.
        height: Of the panel, in pixels; by default as much as it takes.

    Returns:
        (height, width, 3) uint8.
    """
    size, columns = font_size, _legend_columns(names, width, font_size)
    rows = max(1, math.ceil(len(names) / columns))
    if height is not None:
        while size > MIN_FONT_SIZE and rows * _line(size) > height:
            size -= 1
            columns = _legend_columns(names, width, size)
            rows = max(1, math.ceil(len(names) / columns))
        room = max(1, height // _line(size)) * columns
        if room < len(names):
            names, colors = _cut(names, colors, room)
            rows = math.ceil(len(names) / columns)
    panel = Image.new('RGB', (width, height or rows * _line(size)), PAPER)
    draw = ImageDraw.Draw(panel)
    for index, (name, color) in enumerate(zip(names, colors)):
        # Columns are filled from top to bottom and as even as can be.
        x = index // rows * (width // columns)
        middle = (index % rows + 0.5) * _line(size)
        draw.rounded_rectangle(
            (x, middle - 0.5 * size, x + 1.5 * size, middle + 0.5 * size),
            radius=size // 5,
            fill=tuple(map(int, color)))
        draw.text((x + 2 * size, middle),
                  name,
                  fill=INK,
                  font=load_font(size),
                  anchor='lm')
    return np.array(panel)


def _line(font_size: int) -> int:
    """Height of a line, in pixels."""
    return round(1.6 * font_size)


def _legend_columns(names: Sequence[str], width: int, font_size: int) -> int:
    font = load_font(font_size)
    longest = max((font.getlength(name) for name in names), default=0)
    return max(1, int(width // (longest + 3 * font_size)))


def _cut(names: Sequence[str], colors: Sequence, room: int):
    """As many names as there is room for, the last one a number."""
    left_out = len(names) - room + 1
    return ([*names[:room - 1],
             f'and {left_out} more'], [*colors[:room - 1], PAPER])
