"""The id map of a panoptic PNG: one segment id per pixel, 0 for void."""
from typing import Optional, Tuple

import cv2
import numpy as np
from mmengine import fileio

_TO_RGBA = {3: cv2.COLOR_BGR2RGBA, 4: cv2.COLOR_BGRA2RGBA}


def read_id_map(path: str, backend_args: Optional[dict] = None) -> np.ndarray:
    """Decode a panoptic PNG.

    Args:
        path (str): The PNG, 8-bit RGB with id = R + 256 G + 65536 B.
        backend_args (dict, optional): File backend as in MMEngine.

    Returns:
        ndarray: Segment ids, int32 (H, W).

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be decoded or is not 8-bit RGB.
    """
    data = fileio.get(path, backend_args=backend_args)
    png = None
    if data:  # cv2 raises on an empty buffer, without a name
        png = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if png is None:
        raise ValueError(f'{path} cannot be decoded: it is corrupt or no PNG')
    channels = png.shape[2] if png.ndim == 3 else 1
    if png.dtype != np.uint8 or channels not in _TO_RGBA:
        raise ValueError(
            f'{path} has {channels} channel(s) of {png.dtype}: a panoptic PNG '
            'is 8-bit RGB with id = R + 256 G + 65536 B')
    # The four bytes of an RGBA pixel are the id as a little-endian integer,
    # but for alpha: ten times as fast as summing the channels.
    id_map = cv2.cvtColor(png, _TO_RGBA[channels]).view('<i4')[..., 0]
    id_map &= 0xffffff
    return id_map


def id_runs(id_map: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Cut an id map into runs of equal ids, row after row.

    An id map has about a hundredth as many runs as pixels, so that looking
    ids up per run costs next to nothing.

    Args:
        id_map (ndarray): (H, W).

    Returns:
        tuple[ndarray, ndarray]: The id of each run and its length in pixels;
        ``np.repeat(*id_runs(id_map))`` is the flattened map.
    """
    flat = np.ravel(id_map)
    if not flat.size:
        return flat, np.zeros(0, np.int64)
    starts = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts = np.concatenate(([0], starts))
    return flat[starts], np.diff(starts, append=flat.size)
