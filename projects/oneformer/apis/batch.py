"""Answers for many images and videos, saved as they are made."""
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import (Callable, Dict, Iterator, List, Optional, Sequence, Tuple,
                    Union)

import cv2
import mmcv
import numpy as np
from mmdet.structures import DetDataSample
from rich.console import Console
from rich.progress import (BarColumn, MofNCompleteColumn, Progress, TextColumn,
                           TimeRemainingColumn)

from ..models.oneformer import RESULT_FIELDS
from ..tasks import check_tasks
from .formats import (class_indices, encode_image, encode_panoptic,
                      encode_semantic, instance_annotations,
                      panoptic_annotation)
from .inferencer import OneFormerInferencer
from .result_folder import Record, ResultFolder, to_json
from .results import (by_strips, instance_result, panoptic_result,
                      semantic_result)
from .sources import count_frames, is_video, read_frames

#: What can be saved, and the task that it needs; None for all that are asked.
FORMATS = {
    'overlay': None,
    'sheet': None,
    'coco-panoptic': 'panoptic',
    'coco-instance': 'instance',
    'semantic': 'semantic'
}

#: What an image may bring about that does not concern the next one.
IMAGE_ERRORS = (OSError, ValueError, RuntimeError, MemoryError, cv2.error)


def products_of(formats: Sequence[str],
                tasks: Sequence[str]) -> Dict[str, Tuple[str, ...]]:
    """What is made of an image: name of the product to the tasks it needs.

    Raises:
        ValueError: If a format or task is unknown, or a format needs a task
            that is not asked.
    """
    tasks = check_tasks(tasks)
    products = {}
    for name in formats:
        if name not in FORMATS:
            raise ValueError(f'format {name!r} is unknown: choose from '
                             f'{", ".join(FORMATS)}')
        if name == 'overlay':
            products.update({f'overlay-{task}': (task, ) for task in tasks})
        elif name == 'sheet':
            products['sheet'] = tasks
        elif FORMATS[name] not in tasks:
            raise ValueError(f'format {name!r} needs the task '
                             f'{FORMATS[name]!r}, which is not asked')
        else:
            products[name] = (FORMATS[name], )
    return products


@dataclass
class Report:
    """What became of the images.

    Attributes:
        done: Number of images answered now.
        skipped: Number of images that had been answered before.
        errors: A message for each image or video that has no answer.
    """
    done: int = 0
    skipped: int = 0
    errors: List[str] = field(default_factory=list)


class BatchInference:
    """Saves what a model answers for files, in the formats asked.

    Args:
        inferencer: Answers them.
        folder: Where results go.
        products: See `products_of`.
        score_thr: Instances with a lower score are not drawn.
        palette: Whether semantic PNGs have colors.

    Raises:
        ValueError: If there are too many classes for a palette.
    """

    def __init__(self,
                 inferencer: OneFormerInferencer,
                 folder: ResultFolder,
                 products: Dict[str, Tuple[str, ...]],
                 score_thr: float = 0.3,
                 palette: bool = False) -> None:
        number = len(inferencer.model.dataset_meta['classes'])
        if palette and number > 256:
            raise ValueError(f'a PNG has a palette of 256 colors at most: '
                             f'there are {number} classes')
        self.inferencer = inferencer
        self.folder = folder
        self.products = products
        self.score_thr = score_thr
        self.palette = palette
        self.report = Report()

    def run(self, files: Sequence[Path]) -> Report:
        """Answer all images of all files, one after the other.

        What is done is left alone. An image that cannot be answered is
        reported and does not stop the others. The JSONs of all images are
        made in the end, also if that is early.

        Raises:
            OutputError: If a result cannot be written.
        """
        numbers = [
            count_frames(path) if is_video(path) else 1 for path in files
        ]
        columns = (TextColumn('Inference'), BarColumn(), MofNCompleteColumn(),
                   TimeRemainingColumn())
        try:
            with Progress(*columns, console=Console(stderr=True)) as progress:
                bar = progress.add_task('', total=sum(numbers))
                for place, path in enumerate(files, 1):
                    for _ in self._answer(path):
                        progress.advance(bar)
                    progress.update(bar, completed=sum(numbers[:place]))
        finally:
            self.folder.merge(list(self.products))
        return self.report

    def _answer(self, path: Path) -> Iterator[None]:
        """Answer a file, yielding after each of its images."""
        try:
            for frame, load in images_of(path):
                record = self.folder.record(path, frame)
                missing = self.folder.missing(record, list(self.products))
                if missing:
                    self._answer_image(record, load(), missing)
                    self.report.done += 1
                else:
                    self.report.skipped += 1
                yield
        except IMAGE_ERRORS as error:
            self.report.errors.append(_message(error, path))

    def _answer_image(self, record: Record, image: Union[str, np.ndarray],
                      products: Sequence[str]) -> None:
        """Make and save products of an image, a path or pixels in BGR."""
        tasks = {task for name in products for task in self.products[name]}
        data_sample, = self.inferencer(
            image, tasks=sorted(tasks), return_datasamples=True)['predictions']
        self.save(record, image, data_sample, products)

    def save(self, record: Record, image: Union[str, np.ndarray],
             data_sample: DetDataSample, products: Sequence[str]) -> None:
        """Make and save products of an answered image.

        Raises:
            OutputError: If one cannot be written.
        """
        record.height, record.width = map(int, data_sample.ori_shape[:2])
        files, pixels = {}, None
        for product in products:
            path = self.folder.path(record, product)
            if FORMATS.get(product) is not None:
                files.update(self._encode(product, path, record, data_sample))
                continue
            if pixels is None:
                pixels = image[..., ::-1] if isinstance(
                    image, np.ndarray) else mmcv.imread(
                        image, channel_order='rgb')
            picture = self._draw(pixels, data_sample, self.products[product])
            files[path] = encode_image(picture, path.suffix)
        self.folder.add(record, files, products)

    def _draw(self, pixels: np.ndarray, data_sample: DetDataSample,
              tasks: Sequence[str]) -> np.ndarray:
        """A picture of the answers to some tasks."""
        view = DetDataSample()
        for task in tasks:
            name = RESULT_FIELDS[task]
            setattr(view, name, data_sample.get(name))
        visualizer = self.inferencer.visualizer
        visualizer.add_datasample(
            '', pixels, view, draw_gt=False, pred_score_thr=self.score_thr)
        return visualizer.get_image()

    def _encode(self, product: str, path: Path, record: Record,
                data_sample: DetDataSample) -> Dict[Path, bytes]:
        """The files of a product that is no picture."""
        meta = self.inferencer.model.dataset_meta
        classes, ids = meta['classes'], meta['category_ids']
        if product == 'coco-panoptic':
            result = panoptic_result(data_sample, classes,
                                     self.inferencer.model.num_things_classes)
            annotation = panoptic_annotation(result, f'{record.name}.png', ids)
            return {
                path.with_suffix('.png'):
                encode_panoptic(result['panoptic_seg']),
                path: to_json([annotation])
            }
        if product == 'coco-instance':
            result = instance_result(data_sample, classes)
            return {path: to_json(instance_annotations(result, ids))}
        indices, palette = class_indices(meta), None
        if self.palette:
            palette = [entry['color'] for entry in self.folder.categories]
        labels = semantic_result(data_sample)['sem_seg']
        return {
            path:
            encode_semantic(
                by_strips(labels, lambda part: indices[part]), palette)
        }


def images_of(
    path: Path
) -> Iterator[Tuple[Optional[int], Callable[[], Union[str, np.ndarray]]]]:
    """The image or the frames of a file.

    Yields:
        tuple: Number of the frame, None of an image; and a function that
        returns the path or the pixels.
    """
    if is_video(path):
        yield from read_frames(path)
    else:
        yield None, lambda: str(path)


def one_line(error: Exception, length: int = 300) -> str:
    """The message of an error without line breaks, its end cut off."""
    lines = [line.strip() for line in str(error).splitlines()]
    text = '; '.join(line for line in lines if line)
    return textwrap.shorten(text.replace(':; ', ': '), length)


def _message(error: Exception, path: Path) -> str:
    """One line that says what is wrong with a file."""
    if isinstance(error, OSError) and error.strerror:
        return f'{path} cannot be read: {error.strerror}'
    text = one_line(error) or type(error).__name__
    return text if str(path) in text else f'{path}: {text}'
