"""What the test pipeline must bear that data sets do not hold."""
from pathlib import Path
from typing import Union

import cv2
import numpy as np
from mmcv.image import rescale_size
from mmcv.transforms import Resize
from mmdet.datasets.transforms import InferencerLoader
from mmengine.dataset import Compose

#: An image: its path, its pixels (H, W, 3) in BGR, or a dict of ``img_path``
#: or ``img``.
ImageInput = Union[str, Path, np.ndarray, dict]


class LoadAnyImage:
    """Loads an image as ``InferencerLoader`` does, and says what is wrong.

    Args:
        loader: The transform that it calls.
    """

    def __init__(self, loader: InferencerLoader) -> None:
        self.loader = loader

    def __call__(self, image: ImageInput) -> dict:
        """Load an image, or take over its pixels.

        Raises:
            FileNotFoundError: If there is no such file.
            TypeError: If ``image`` is no `ImageInput`.
            ValueError: If it is no image that can be decoded, or an array
                of another shape or type.
        """
        if isinstance(image, Path):
            image = str(image)
        if not isinstance(image, (str, np.ndarray, dict)):
            raise TypeError(f'an image is a {type(image).__name__}: it must '
                            'be a path or an array')
        inputs = image if isinstance(image, dict) else {}
        pixels = inputs.get('img', image)
        if isinstance(pixels, np.ndarray):
            check_pixels(pixels)
            return self.loader(image)
        path = inputs.get('img_path', image)
        try:
            return self.loader(image)
        except FileNotFoundError:
            raise FileNotFoundError(f'{path} does not exist') from None
        except IsADirectoryError:
            raise ValueError(f'{path} is a folder, not an image') from None
        except (AssertionError, cv2.error):
            # cv2 does not name the file, nor says what is wrong
            raise ValueError(f'{path} is no image, or a broken one') from None


def check_pixels(image: np.ndarray) -> None:
    """Check that an array can be an image.

    Raises:
        ValueError: If it is not (H, W, 3), uint8 or float32, with a pixel.
    """
    if image.ndim != 3 or image.shape[2] != 3 or not image.size or \
            image.dtype not in (np.uint8, np.float32):
        raise ValueError(
            f'an image is an array of shape {image.shape} and type '
            f'{image.dtype}: it must be (height, width, 3) of uint8, in the '
            'order blue, green, red')


class ResizeAnyAspect:
    """Resizes as ``Resize`` does, to one pixel at least.

    The short side of 8000 x 1 pixels becomes 0 when the aspect ratio is
    kept, which OpenCV refuses.

    Args:
        resize: The transform that it calls.
    """

    def __init__(self, resize: Resize) -> None:
        self.resize = resize

    def __call__(self, results: dict) -> dict:
        resize = self.resize
        if resize.keep_ratio and resize.scale:
            size = rescale_size(results['img'].shape[1::-1], resize.scale)
            if 0 in size:
                resize = type(resize)(
                    scale=tuple(max(side, 1) for side in size),
                    interpolation=resize.interpolation,
                    backend=resize.backend)
        return resize(results)


def bear_any_image(pipeline: Compose) -> Compose:
    """Exchange the transforms of a pipeline that some images break."""
    bearing = {InferencerLoader: LoadAnyImage, Resize: ResizeAnyAspect}
    for kind, replacement in bearing.items():
        pipeline.transforms = [
            replacement(transform)
            if isinstance(transform, kind) else transform
            for transform in pipeline.transforms
        ]
    return pipeline
