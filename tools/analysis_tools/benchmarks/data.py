"""Cases around the model: loading and augmenting, and evaluating PQ."""
import contextlib
import io
import json
from pathlib import Path
from typing import Any, Callable, List, Tuple

import cv2
import numpy as np
import torch
from mmdet.registry import DATASETS, METRICS
from mmdet.structures import INSTANCE_OFFSET
from mmengine.config import Config
from mmengine.registry import init_default_scope

from .measure import BenchmarkError, Case, Contender, Workload
from .models import ROOT

#: Images of a data set, and how often a call goes over them.
IMAGES, PASSES = 8, 2
CATEGORIES = [
    dict(id=i + 1, name=f'class {i}', isthing=int(i < 12), color=[i, 9, 0])
    for i in range(20)
]
CAMVID = ROOT / 'data/camvid'


def write_dataset(folder: Path, size: Tuple[int, int], segments: int) -> None:
    """Write `IMAGES` images of random polygons, in COCO panoptic format."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size[0], :size[1]].astype(np.float32)
    content = dict(categories=CATEGORIES, images=[], annotations=[])
    for kind in ('train', 'panoptic_train'):
        (folder / kind).mkdir()
    for index in range(IMAGES):
        # each pixel belongs to the nearest of some points
        centres = rng.random((segments, 2)) * size
        distance = [(y - top)**2 + (x - left)**2 for top, left in centres]
        ids = np.argmin(distance, 0) + 1
        image = rng.integers(0, 256, (segments + 1, 3), np.uint8)[ids]
        name = f'{index:04d}'
        cv2.imwrite(str(folder / f'train/{name}.jpg'), image)
        cv2.imwrite(
            str(folder / f'panoptic_train/{name}.png'),
            np.stack([0 * ids, ids >> 8, ids & 255], -1).astype(np.uint8))
        content['images'].append(
            dict(
                id=index,
                file_name=f'{name}.jpg',
                height=size[0],
                width=size[1]))
        infos = [
            dict(
                id=int(i),
                category_id=int(rng.integers(len(CATEGORIES))) + 1,
                iscrowd=0,
                area=int((ids == i).sum()),
                bbox=_box(ids == i)) for i in np.unique(ids)
        ]
        content['annotations'].append(
            dict(image_id=index, file_name=f'{name}.png', segments_info=infos))
    (folder / 'panoptic_train.json').write_text(json.dumps(content))


def _box(mask: np.ndarray) -> List[int]:
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    top, left = int(rows[0]), int(columns[0])
    return [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1]


def prepare_street(workload: Workload, folder: Path) -> None:
    """Images of CamVid's size, where CamVid itself is not there."""
    if not CAMVID.is_dir():
        write_dataset(folder, (360, 480), 20)


def prepare_jitter(workload: Workload, folder: Path) -> None:
    write_dataset(folder, (480, 640), 20)


def street_augmentation() -> List[dict]:
    """What `configs/_base_/datasets/camvid_panoptic.py` does with them."""
    cfg = Config.fromfile(ROOT / 'configs/_base_/datasets/camvid_panoptic.py')
    return cfg.train_pipeline[2:-2]


def jitter_augmentation() -> List[dict]:
    """Large-scale jitter of 1024, as on COCO."""
    size = (1024, 1024)
    return [
        dict(
            type='RandomResize',
            scale=size,
            ratio_range=(0.1, 2.0),
            keep_ratio=True),
        dict(type='RandomCrop', crop_size=size, allow_negative_crop=True),
        dict(type='RandomFlip', prob=0.5),
        dict(type='Pad', size=size, pad_val=dict(img=(128, ) * 3, seg=0)),
    ]


def our_pipeline(augmentation: List[dict]) -> List[dict]:
    keys = ('img_id', 'ori_shape', 'img_shape', 'task', 'texts')
    return [
        dict(type='LoadImageFromFile'),
        dict(type='LoadPanopticMap'), *augmentation,
        dict(type='TaskSampling'),
        dict(type='PackDetInputs', meta_keys=keys)
    ]


def their_pipeline(augmentation: List[dict]) -> List[dict]:
    keys = ('img_id', 'ori_shape', 'img_shape')
    return [
        dict(type='LoadImageFromFile'),
        dict(type='LoadPanopticAnnotations'), *augmentation,
        dict(type='PackDetInputs', meta_keys=keys)
    ]


def _dataset(kind: str, root: Path, pipeline: List[dict], **settings):
    init_default_scope('mmdet')
    with contextlib.redirect_stdout(io.StringIO()):
        return DATASETS.build(
            dict(
                type=kind,
                data_root=str(root),
                ann_file='panoptic_train.json',
                data_prefix=dict(img='train/', seg='panoptic_train/'),
                pipeline=pipeline,
                **settings))


def _metainfo(root: Path) -> dict:
    """Classes for MMDetection's data set, which does not read them."""
    content = json.loads((root / 'panoptic_train.json').read_text())
    names = [(c['name'], c['isthing']) for c in content['categories']]
    return dict(
        classes=tuple(name for name, _ in names),
        thing_classes=tuple(name for name, thing in names if thing),
        stuff_classes=tuple(name for name, thing in names if not thing),
        palette=[(0, 0, 0)] * len(names))


def _load_all(dataset) -> Callable[[], Any]:
    cv2.setNumThreads(0)

    def run():
        for index in range(IMAGES * PASSES):
            dataset[index % IMAGES]

    return run


def _street(folder: Path) -> Path:
    return CAMVID if CAMVID.is_dir() else folder


def our_street(workload: Workload, folder: Path) -> Callable[[], Any]:
    return _load_all(
        _dataset('PanopticDataset', _street(folder),
                 our_pipeline(street_augmentation())))


def their_street(workload: Workload, folder: Path) -> Callable[[], Any]:
    root = _street(folder)
    return _load_all(
        _dataset(
            'CocoPanopticDataset',
            root,
            their_pipeline(street_augmentation()),
            metainfo=_metainfo(root)))


def our_jitter(workload: Workload, folder: Path) -> Callable[[], Any]:
    return _load_all(
        _dataset('PanopticDataset', folder,
                 our_pipeline(jitter_augmentation())))


def their_jitter(workload: Workload, folder: Path) -> Callable[[], Any]:
    return _load_all(
        _dataset(
            'CocoPanopticDataset',
            folder,
            their_pipeline(jitter_augmentation()),
            metainfo=_metainfo(folder)))


def prepare_maps(workload: Workload, folder: Path) -> None:
    write_dataset(folder, (1024, 2048), 40)


def _answers(folder: Path) -> Tuple[List[dict], dict]:
    """Samples with ragged predictions, and the meta of their classes."""
    dataset = _dataset('PanopticDataset', folder, [])
    rng = np.random.default_rng(0)
    samples = []
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        png = cv2.imread(info['seg_map_path'])[..., ::-1]
        ids = png[..., 0] + 256 * png[..., 1].astype(np.int32)
        ids = np.roll(ids, int(rng.integers(5, 60)), axis=1)
        values = np.zeros(ids.max() + 1, np.int32)
        things = 0
        for segment in info['segments_info']:
            is_thing = segment['label'] < info['num_things']
            things += is_thing
            values[segment['id']] = segment['label'] + (
                things * INSTANCE_OFFSET * is_thing)
        sample = dict(info, ori_shape=(info['height'], info['width']))
        # stuff has one segment a class, in ground truth as in predictions
        sample['prediction'] = torch.from_numpy(values[ids])[None]
        samples.append(sample)
    return samples, dataset.metainfo


def _evaluate(metric, samples: List[dict]) -> dict:
    # MMDetection's metric changes predictions in place
    for sample in samples:
        copy = dict(
            sample,
            pred_panoptic_seg=dict(sem_seg=sample['prediction'].clone()))
        with contextlib.redirect_stdout(io.StringIO()):
            metric.process({}, [copy])
    found = metric.evaluate(len(samples))
    return {name.split('/')[1]: value for name, value in found.items()}


def our_quality(workload: Workload, folder: Path) -> Callable[[], Any]:
    samples, meta = _answers(folder)
    metric = METRICS.build(dict(type='PanopticQualityMetric'))
    metric.dataset_meta = meta
    return lambda: _evaluate(metric, samples)


def their_quality(workload: Workload, folder: Path) -> Callable[[], Any]:
    samples, meta = _answers(folder)
    with contextlib.redirect_stdout(io.StringIO()):
        metric = METRICS.build(
            dict(
                type='CocoPanopticMetric',
                ann_file=str(folder / 'panoptic_train.json'),
                seg_prefix=str(folder / 'panoptic_train')))
    metric.dataset_meta = meta
    return lambda: _evaluate(metric, samples)


def equal_quality(ours: dict, theirs: dict) -> str:
    """The same percentages, but for rounding."""
    worst = max(abs(ours[name] - theirs[name]) for name in ours)
    if not worst < 1e-6:
        raise BenchmarkError(f'PQ differs: {ours} and {theirs}')
    return f'equal: PQ {ours["PQ"]:.2f}'


CASES = (
    Case(
        'load-camvid',
        'loading and augmenting street scenes of 480 x 360, a process',
        Contender('ours', our_street),
        Contender('MMDetection', their_street),
        2.,
        None,
        prepare_street,
        per_call=IMAGES * PASSES,
        unit='images'),
    Case(
        'load-jitter',
        'large-scale jitter of 1024, 20 segments, a process',
        Contender('ours', our_jitter),
        Contender('MMDetection', their_jitter),
        2.,
        None,
        prepare_jitter,
        per_call=IMAGES * PASSES,
        unit='images'),
    Case(
        'panoptic-quality',
        'PQ of maps of 1024 x 2048',
        Contender('ours', our_quality),
        Contender('MMDetection', their_quality, ('panopticapi', )),
        4.,
        equal_quality,
        prepare_maps,
        per_call=IMAGES,
        unit='images'),
)
