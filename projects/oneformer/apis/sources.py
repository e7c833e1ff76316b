"""Images and videos from the paths, folders and patterns of a user."""
import glob
import os
from pathlib import Path
from typing import Callable, Iterator, List, Sequence, Tuple

import cv2
import numpy as np
from mmdet.apis.det_inferencer import IMG_EXTENSIONS

VIDEO_EXTENSIONS = ('.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg',
                    '.webm', '.wmv')

# FFmpeg must not report on its own what is wrong with a file; OpenCV reads
# this when it opens its first video.
os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')

#: A video may end this share of its frames before what its header says,
#: which many containers only estimate.
FRAMES_AT_END = 0.05


def is_video(path: Path) -> bool:
    """Whether a file is a video, by its name."""
    return path.suffix.lower() in VIDEO_EXTENSIONS


def find_files(inputs: Sequence[str],
               but_below: Path) -> Tuple[List[Path], List[str]]:
    """The files that inputs stand for, each once, in order.

    Of a folder the images and videos in it, but not in its subfolders; of a
    pattern (``*``, ``?``, ``[]``, ``**``) those that match. A file that is
    named may have any name.

    Args:
        inputs: Paths of files and folders, and patterns.
        but_below: Files in this folder are left out.

    Returns:
        tuple: Files, and a message for each input that gives none.
    """
    files, errors = {}, []
    for text in inputs:
        try:
            found, missing = _files_of(text)
        except OSError as error:
            found, missing = [], f'{text} cannot be read: {error.strerror}'
        if not found:
            errors.append(missing)
        for path in found:
            place = path.resolve()
            if but_below.resolve() not in place.parents:
                files.setdefault(place, path)
    return list(files.values()), errors


def _files_of(text: str) -> Tuple[List[Path], str]:
    """The files of one input, and what to say where there is none."""
    path = Path(text)
    if path.is_dir():
        return _media(path.iterdir()), f'folder {text} has no image or video'
    if os.path.lexists(text):
        return [path], ''
    if glob.has_magic(text):
        matches = map(Path, glob.iglob(text, recursive=True))
        return _media(matches), f'no image or video matches {text}'
    return [], f'{text} does not exist'


def _media(paths: Iterator[Path]) -> List[Path]:
    known = IMG_EXTENSIONS + VIDEO_EXTENSIONS
    return sorted(path for path in paths
                  if path.suffix.lower() in known and path.is_file())


def count_frames(path: Path) -> int:
    """The frames that the header of a video announces, 0 without one."""
    capture = cv2.VideoCapture(str(path))
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    capture.release()
    return max(count, 0)


def read_frames(path: Path) -> Iterator[Tuple[int, Callable[[], np.ndarray]]]:
    """The frames of a video.

    Yields:
        tuple: Number of the frame, from 0, and a function that decodes it to
        pixels (H, W, 3), BGR.

    Raises:
        ValueError: If it cannot be decoded, or only its beginning.
    """
    capture = cv2.VideoCapture(str(path))
    number = 0

    def decode() -> np.ndarray:
        decoded, image = capture.retrieve()
        if not decoded:
            raise ValueError(f'video {path} cannot be decoded at frame '
                             f'{number}')
        return image

    try:
        while capture.grab():
            yield number, decode
            number += 1
        announced = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    finally:
        capture.release()
    if not number:
        raise ValueError(f'video {path} cannot be decoded')
    if number < (1 - FRAMES_AT_END) * announced - 1:
        raise ValueError(f'video {path} cannot be decoded beyond frame '
                         f'{number} of {announced:.0f}')
