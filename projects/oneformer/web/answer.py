"""What the page shows and hands out for one image, as files in a folder."""
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Dict

import numpy as np
from mmdet.structures import DetDataSample
from mmdet.visualization import get_palette
from PIL import Image, UnidentifiedImageError

from ..apis import (BatchInference, OneFormerInferencer, ResultFolder,
                    one_line, products_of)
from ..apis.results import panoptic_result
from ..tasks import TASKS
from ..visualization import (Segments, panoptic_segments, predicted_segments,
                             segment_colors)
from .legend import legend_html

#: The most pixels that an image may have; what `OneFormerInferencer` promises.
MAX_PIXELS = 8000 * 8000
#: Name of the view that shows the answers to all tasks side by side.
COMPARISON = 'compare'
VIEWS = (*TASKS, COMPARISON)
#: What can be downloaded, and what it is called.
DOWNLOADS = dict(
    panoptic='Download panoptic PNG + JSON',
    instance='Download instances JSON',
    semantic='Download semantic PNG',
    everything='Download everything')
#: What is saved, see `products_of`.
FORMATS = ('overlay', 'sheet', 'coco-panoptic', 'coco-instance', 'semantic')


class ImageError(ValueError):
    """An upload is no image that can be answered; the message says why."""


@dataclass(frozen=True)
class Answer:
    """Answers to all tasks for an image.

    Attributes:
        source: Path of the image.
        pictures: The picture of each view in `VIEWS`.
        legends: What its colors mean, as HTML.
        files: What can be downloaded: the answer to each task, and
            everything, see `DOWNLOADS`.
    """
    source: str
    pictures: Dict[str, str]
    legends: Dict[str, str]
    files: Dict[str, str]


def check_image(path: str, name: str = '') -> None:
    """Check that a file is an image, and not too large, by its header.

    Args:
        path: Of the file.
        name: That its owner knows it by; by default that of the file.

    Raises:
        ImageError: If it is not.
    """
    name = name or Path(path).name
    try:
        with Image.open(path) as image:
            width, height = image.size
    except Image.DecompressionBombError:
        width, height = MAX_PIXELS, 2
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        raise ImageError(f'{name} is no image that can be read: use a JPEG, '
                         'PNG, WebP, BMP or TIFF file') from None
    if width * height > MAX_PIXELS:
        raise ImageError(
            f'{name} has more than {MAX_PIXELS // 10**6} million pixels: use '
            'a smaller image')


def answer_image(inferencer: OneFormerInferencer,
                 image: str,
                 folder: Path,
                 name: str = '',
                 score_thr: float = 0.3) -> Answer:
    """Answer all tasks for an image and save what the page shows of it.

    Args:
        inferencer: Answers it. It must not answer another at the same time.
        image: Path of the image.
        folder: Empty; all that is written stands in it.
        name: See `check_image`.
        score_thr: Instances with a lower score are not shown.

    Raises:
        ImageError: If it cannot be answered.
        OutputError: If a result cannot be written.
    """
    name = name or Path(image).name
    check_image(image, name)
    try:
        data_sample, = inferencer(
            image, tasks=TASKS, return_datasamples=True)['predictions']
    except ValueError:  # what has the header of an image alone
        raise ImageError(f'{name} is a broken image') from None
    except (MemoryError, RuntimeError) as error:
        raise ImageError(
            f'{name} cannot be answered: {one_line(error, 120)}') from error
    data_sample = data_sample.cpu()
    meta = inferencer.model.dataset_meta
    results = ResultFolder(folder, {}, meta)
    products = products_of(FORMATS, TASKS)
    batch = BatchInference(
        inferencer, results, products, score_thr, palette=True)
    record = results.record(Path(image))
    batch.save(record, image, data_sample, list(products))
    results.merge(list(products))
    pictures = {
        task: str(folder / results.path(record, f'overlay-{task}'))
        for task in TASKS
    }
    pictures[COMPARISON] = str(folder / results.path(record, 'sheet'))
    return Answer(image, pictures, legends_of(data_sample, meta, score_thr),
                  _downloads(folder,
                             Path(image).stem, pictures))


def legends_of(data_sample: DetDataSample, dataset_meta: dict,
               score_thr: float) -> Dict[str, str]:
    """What the colors in the pictures of an image mean, by view, as HTML."""
    classes = dataset_meta['classes']
    palette = get_palette(dataset_meta['palette'], len(classes))
    segments = predicted_segments(data_sample, len(classes), score_thr)
    segments['panoptic'] = _scored(data_sample, dataset_meta)
    legends = {}
    for task in TASKS:
        found = segments[task]
        legends[task] = legend_html(
            found, segment_colors(found.map, found.labels, palette), classes)
    legends[COMPARISON] = ''
    return legends


def _scored(data_sample: DetDataSample, dataset_meta: dict) -> Segments:
    """The segments of the panoptic answer, with their scores."""
    result = panoptic_result(data_sample, dataset_meta['classes'],
                             len(dataset_meta['thing_classes']))
    found = panoptic_segments(result['panoptic_seg'], result['segments_info'])
    scores = [segment['score'] for segment in result['segments_info']]
    return Segments(found.map, found.labels, np.array(scores, float))


def _downloads(folder: Path, stem: str, pictures: Dict[str,
                                                       str]) -> Dict[str, str]:
    """The files to download, see `DOWNLOADS`, some in an archive."""
    panoptic = [folder / 'panoptic.json', folder / 'panoptic' / f'{stem}.png']
    instances = folder / 'instances.json'
    semantic = folder / 'semantic' / f'{stem}.png'
    everything = [
        *panoptic, instances, semantic, folder / 'categories.json',
        *map(Path, pictures.values())
    ]
    archives = {}
    for name, paths in dict(panoptic=panoptic, everything=everything).items():
        archives[name] = folder / f'{stem}_{name}.zip'
        with zipfile.ZipFile(archives[name], 'w') as file:
            for path in paths:
                file.write(path, path.relative_to(folder))
    return dict(
        panoptic=str(archives['panoptic']),
        instance=str(instances),
        semantic=str(semantic),
        everything=str(archives['everything']))
