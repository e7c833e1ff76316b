"""Images on disk: read as stored, written whole or not at all."""
import os
from pathlib import Path
from typing import Tuple

import cv2
import numpy as np
from PIL import Image

_UNFINISHED = '.unfinished'  # what the name of half a file ends in
_PNG_START = b'\x89PNG\r\n\x1a\n'
_PNG_END = b'IEND\xaeB`\x82'
# Label maps are made of runs: half the size of the default in equal time.
_PNG_OPTIONS = (cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY,
                cv2.IMWRITE_PNG_STRATEGY_RLE)


def read_pixels(path: Path, *modes: str) -> np.ndarray:
    """Decode an image to the values that it stores.

    Args:
        path: The file.
        modes: Pillow's names of the kinds of pixels that are expected, such
            as 'RGB', 'L' (8-bit grey) and 'I;16' (16-bit).

    Returns:
        ndarray: (H, W), or (H, W, 3) for RGB.

    Raises:
        ValueError: If the file is corrupt or of another kind.
    """
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image)
            mode = image.mode
    except (OSError, SyntaxError) as error:
        raise ValueError(f'{path} cannot be decoded: {error}') from error
    if mode not in modes:
        raise ValueError(f'{path} has pixels of mode {mode}, expected '
                         f'{" or ".join(modes)}')
    return pixels


def read_size(path: Path, decode: bool = False) -> Tuple[int, int]:
    """Height and width of an image.

    Args:
        path: The file.
        decode: Whether to decode all of it too, which finds damage that its
            beginning does not show.

    Raises:
        ValueError: If the file is corrupt.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            if decode:
                image.draft('L', (width // 8, height // 8))  # faster
                image.load()
    except (OSError, SyntaxError) as error:
        raise ValueError(f'{path} cannot be decoded: {error}') from error
    return height, width


def is_whole_png(path: Path) -> bool:
    """Whether a file begins and ends as a PNG does; it is not decoded."""
    try:
        with open(path, 'rb') as file:
            start = file.read(len(_PNG_START))
            file.seek(-len(_PNG_END), os.SEEK_END)
            return start == _PNG_START and file.read() == _PNG_END
    except OSError:  # missing, or too short
        return False


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Store a map; a kill leaves no half of it under the name.

    Args:
        path: Where; its folder exists.
        pixels: uint8 (H, W), stored as grey values, or int32 (H, W), ids
            stored as R + 256 G + 65536 B.
    """
    if pixels.dtype == np.int32:
        # The bytes of a little-endian id are R, G, B and 0.
        rgba = np.ascontiguousarray(pixels, '<i4').view(np.uint8)
        pixels = cv2.cvtColor(
            rgba.reshape(*pixels.shape, 4), cv2.COLOR_RGBA2BGR)
    data = cv2.imencode('.png', pixels, _PNG_OPTIONS)[1]
    unfinished = path.with_name(path.name + _UNFINISHED)
    unfinished.write_bytes(data)
    os.replace(unfinished, path)
