"""Small data sets of each kind, written by the tests that use them."""
import json
from pathlib import Path
from typing import List, Optional, Sequence

import cv2
import numpy as np
import pycocotools.mask as mask_util

#: Sparse ids in no order, and things neither first nor last.
CATEGORIES = [
    dict(id=30, name='sky', isthing=0),
    dict(id=7, name='car', isthing=1),
    dict(id=101, name='road', isthing=0),
    dict(id=2, name='dog', isthing=1),
]


def make_samples(number: int = 3,
                 size=(48, 64),
                 categories: Sequence[dict] = tuple(CATEGORIES),
                 num_segments: int = 6,
                 seed: int = 0) -> List[dict]:
    """Random samples: rectangles of random classes over void.

    Args:
        number (int): How many.
        size (tuple): Height and width in pixels.
        categories (list[dict]): Those drawn from.
        num_segments (int): Rectangles per image; later ones cover earlier
            ones, and one that ends up without a pixel is left out.
        seed (int): Same seed, same samples.

    Returns:
        list[dict]: What `write_panoptic_dataset` takes: ``name``,
        ``id_map`` (H, W) and ``segments``, (id, category id, iscrowd) each.
    """
    rng = np.random.default_rng(seed)
    samples = []
    for index in range(number):
        id_map = np.zeros(size, np.int32)
        segments = []
        ids = rng.choice(256**3 - 1, num_segments, replace=False) + 1
        for segment_id in ids.tolist():
            top, left = (int(rng.integers(0, 2 * s // 3)) for s in size)
            high, wide = (int(rng.integers(s // 4, s)) for s in size)
            id_map[top:top + high, left:left + wide] = segment_id
            category = categories[rng.integers(len(categories))]
            segments.append((segment_id, category['id'], 0))
        segments = [s for s in segments if (id_map == s[0]).any()]
        samples.append(
            dict(name=f'image_{index}', id_map=id_map, segments=segments))
    return samples


def write_panoptic_dataset(root,
                           samples: Optional[Sequence[dict]] = None,
                           categories: Sequence[dict] = tuple(CATEGORIES),
                           split: str = 'train',
                           suffix: str = '.png') -> dict:
    """Write images, panoptic PNGs and their JSON.

    Args:
        root (Path): Folder for ``{split}/``, ``panoptic_{split}/`` and
            ``panoptic_{split}.json``.
        samples (list[dict], optional): See `make_samples`, the default. A
            ``name`` may contain folders; ``image``, uint8 (H, W, 3) in BGR,
            replaces the picture, which else shows the ids modulo 251 as
            grey values.
        categories (list[dict]): Of the JSON, as they are.
        split (str): Names files and folders.
        suffix (str): Of the images; '.jpg' changes pixel values slightly.

    Returns:
        dict: Config of the `PanopticDataset`, without a pipeline.
    """
    root = Path(root)
    samples = make_samples() if samples is None else samples
    images, annotations = [], []
    for index, sample in enumerate(samples):
        name, id_map = sample['name'], np.asarray(sample['id_map'])
        bgr = np.stack([id_map >> 16, id_map >> 8 & 255, id_map & 255], -1)
        _write_image(root / f'panoptic_{split}' / f'{name}.png', bgr)
        images.append(_write_sample(root, sample, index, split, suffix))
        annotations.append(
            dict(
                image_id=1000 - index,
                file_name=f'{name}.png',
                segments_info=[
                    _segment_info(id_map, *segment)
                    for segment in sample['segments']
                ]))
    return dict(
        type='PanopticDataset',
        data_root=str(root),
        ann_file=_write_json(root / f'panoptic_{split}.json', images,
                             annotations, categories),
        data_prefix=dict(img=f'{split}/', seg=f'panoptic_{split}/'))


def write_instance_dataset(root,
                           samples: Optional[Sequence[dict]] = None,
                           categories: Sequence[dict] = tuple(CATEGORIES),
                           split: str = 'train') -> dict:
    """Write images and COCO instance annotation of the things in samples.

    Args:
        root (Path): Folder for ``{split}/`` and ``instances_{split}.json``.
        samples, categories, split: See `write_panoptic_dataset`.

    Returns:
        dict: Config of the `InstanceDataset`, without a pipeline.
    """
    root = Path(root)
    things = [dict(id=c['id'], name=c['name'])
              for c in categories if c['isthing']]  # yapf: disable
    thing_ids = {c['id'] for c in things}
    images, annotations = [], []
    for index, sample in enumerate(samples or make_samples()):
        images.append(_write_sample(root, sample, index, split, '.png'))
        for segment in sample['segments']:
            if segment[1] not in thing_ids:
                continue
            info = _segment_info(sample['id_map'], *segment)
            mask = np.asfortranarray(sample['id_map'] == info['id'], np.uint8)
            rle = mask_util.encode(mask)
            annotations.append(
                dict(
                    info,
                    id=len(annotations) + 1,
                    image_id=1000 - index,
                    segmentation=dict(rle, counts=rle['counts'].decode())))
    return dict(
        type='InstanceDataset',
        data_root=str(root),
        ann_file=_write_json(root / f'instances_{split}.json', images,
                             annotations, things),
        data_prefix=dict(img=f'{split}/'))


def write_semantic_dataset(root,
                           samples: Optional[Sequence[dict]] = None,
                           categories: Sequence[dict] = tuple(CATEGORIES),
                           split: str = 'train') -> dict:
    """Write images and label PNGs: indices of ``categories``, 255 for void.

    Args:
        root (Path): Folder for ``{split}/`` and ``semantic_{split}/``.
        samples, categories, split: See `write_panoptic_dataset`.

    Returns:
        dict: Config of the `SemanticDataset`, without a pipeline.
    """
    root = Path(root)
    index_of = {c['id']: index for index, c in enumerate(categories)}
    for index, sample in enumerate(samples or make_samples()):
        labels = np.full(sample['id_map'].shape, 255, np.uint8)
        for segment_id, category_id, _ in sample['segments']:
            labels[sample['id_map'] == segment_id] = index_of[category_id]
        _write_sample(root, sample, index, split, '.png')
        _write_image(root / f'semantic_{split}' / f'{sample["name"]}.png',
                     labels)
    return dict(
        type='SemanticDataset',
        data_root=str(root),
        categories=[c['name'] for c in categories],
        data_prefix=dict(img=f'{split}/', sem=f'semantic_{split}/'))


def _write_sample(root: Path, sample: dict, index: int, split: str,
                  suffix: str) -> dict:
    """Write the image of a sample; its entry in a COCO JSON."""
    grey = (np.asarray(sample['id_map']) % 251).astype(np.uint8)
    image = sample.get('image', np.stack([grey] * 3, -1))
    file_name = f'{sample["name"]}{suffix}'
    _write_image(root / split / file_name, image)
    height, width = image.shape[:2]
    return dict(
        id=1000 - index, file_name=file_name, height=height, width=width)


def _write_json(path: Path, images: List[dict], annotations: List[dict],
                categories: Sequence[dict]) -> str:
    """Write a COCO JSON; its name."""
    path.write_text(
        json.dumps(
            dict(
                images=images,
                annotations=annotations,
                categories=list(categories))))
    return path.name


def _segment_info(id_map: np.ndarray, segment_id: int, category_id: int,
                  iscrowd: int) -> dict:
    ys, xs = np.nonzero(id_map == segment_id)
    bbox = [0, 0, 0, 0]
    if len(xs):
        left, top = int(xs.min()), int(ys.min())
        bbox = [left, top, int(xs.max()) - left + 1, int(ys.max()) - top + 1]
    return dict(
        id=segment_id,
        category_id=category_id,
        iscrowd=iscrowd,
        area=len(xs),
        bbox=bbox)


def _write_image(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), image.astype(np.uint8)):
        raise OSError(f'{path} could not be written')
