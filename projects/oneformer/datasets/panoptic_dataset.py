"""Any data set in COCO panoptic format, described by its JSON alone."""
import os
import os.path as osp
from itertools import count
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

import cv2
from mmdet.datasets import BaseDetDataset
from mmdet.registry import DATASETS
from mmengine.fileio import LocalBackend, get_file_backend, load
from mmengine.logging import print_log

#: What an entry of the JSON must have, and what that is.
_FIELDS = {
    'category':
    dict(id='an integer', name='a text', isthing='1 (thing) or 0 (stuff)'),
    'image':
    dict(
        id='an integer or a text',
        file_name='a path below the image folder',
        height='in pixels',
        width='in pixels'),
    'annotation':
    dict(
        image_id='the id of an image',
        file_name='a path below the folder of panoptic PNGs',
        segments_info='a list of segments'),
    'segment':
    dict(id='R + 256 G + 65536 B', category_id='the id of a category'),
}
_LARGEST_ID = 256**3 - 1


@DATASETS.register_module()
class PanopticDataset(BaseDetDataset):
    """Data set in COCO panoptic format.

    Classes, things and stuff are read from the JSON, whatever their order
    and ids; the config names files only::

        dict(type='PanopticDataset', data_root='data/x/',
             ann_file='panoptic_train.json',
             data_prefix=dict(img='train/', seg='panoptic_train/'))

    Labels count things first, then stuff, each in the order of the JSON's
    categories. ``metainfo`` has ``classes``, ``thing_classes``,
    ``stuff_classes``, ``palette`` (RGB) and ``category_ids`` by label, and
    ``class_order``, the labels in the order of the JSON's categories.

    A sample has ``img_path``, ``img_id``, ``height``, ``width``,
    ``seg_map_path`` and ``segments_info``, a list of
    ``dict(id, label, iscrowd)`` in the order of the JSON; besides
    ``classes``, ``num_things`` and ``class_order`` for the transforms.

    Args:
        ann_file (str): The JSON.
        data_prefix (dict): Folders of the images (``img``) and of the
            panoptic PNGs (``seg``).
        metainfo (dict, optional): Must agree with the JSON where both speak,
            but for ``palette``, which replaces the JSON's colours.
        filter_cfg (dict, optional): Images to drop from training:
            ``filter_empty_gt=True`` those without a segment other than
            crowds, ``min_size`` those with a side shorter than that many
            pixels. Defaults to None, which keeps all.
        kwargs: See :class:`mmdet.datasets.BaseDetDataset`.

    Raises:
        FileNotFoundError: If the JSON, an image or a PNG is missing.
        ValueError: If the JSON contradicts itself or lacks something.
    """

    @property
    def metainfo(self) -> dict:
        """Meta information; a lazy data set reads its JSON for it."""
        if not self._fully_initialized:
            self.full_init()
        return super().metainfo

    def load_data_list(self) -> List[dict]:
        """Read and check the JSON, and that the files it names exist."""
        for key in ('img', 'seg'):
            if key not in self.data_prefix:
                raise ValueError(
                    f'data_prefix {self.data_prefix} of {self.ann_file} lacks '
                    f'{key!r}: give the folders of images (img) and of '
                    'panoptic PNGs (seg)')
        content = load_panoptic_json(self.ann_file, self.backend_args)
        self._metainfo = _merge_metainfo(
            self._metainfo,
            panoptic_metainfo(content['categories'], self.ann_file),
            self.ann_file)
        label_of = {
            category: label
            for label, category in enumerate(self._metainfo['category_ids'])
        }
        data_list = [
            self.parse_data_info(
                dict(image=image, annotation=annotation, label_of=label_of))
            for image, annotation in _pair_annotations(content, self.ann_file)
        ]
        self._check_files([info['img_path'] for info in data_list], 'image')
        self._check_files([info['seg_map_path'] for info in data_list],
                          'panoptic PNG')
        return data_list

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """Turn an image and its annotation into a sample."""
        image = raw_data_info['image']
        annotation = raw_data_info['annotation']
        return dict(
            img_path=osp.join(self.data_prefix['img'], image['file_name']),
            img_id=image['id'],
            height=image['height'],
            width=image['width'],
            seg_map_path=osp.join(self.data_prefix['seg'],
                                  annotation['file_name']),
            segments_info=_parse_segments(annotation,
                                          raw_data_info['label_of'],
                                          self.ann_file))

    def filter_data(self) -> List[dict]:
        """Drop from training the images that ``filter_cfg`` names."""
        if self.test_mode or not self.filter_cfg:
            return self.data_list
        unknown = set(self.filter_cfg) - {'filter_empty_gt', 'min_size'}
        if unknown:
            raise ValueError(f'filter_cfg has the unknown key {min(unknown)}: '
                             'choose from filter_empty_gt, min_size')
        drop_empty = self.filter_cfg.get('filter_empty_gt', False)
        min_size = self.filter_cfg.get('min_size', 0)
        kept = [
            info for info in self.data_list
            if min(info['height'], info['width']) >= min_size and
            (not drop_empty or not all(segment['iscrowd']
                                       for segment in info['segments_info']))
        ]
        print_log(
            f'{self.ann_file}: {len(self.data_list) - len(kept)} of '
            f'{len(self.data_list)} images dropped by {self.filter_cfg}',
            logger='current')
        if not kept:
            raise ValueError(f'{self.ann_file} has no image that filter_cfg '
                             f'{self.filter_cfg} keeps')
        return kept

    def get_data_info(self, idx: int) -> dict:
        """The sample, with what the transforms must know of the classes."""
        info = super().get_data_info(idx)
        info.update(
            classes=self._metainfo['classes'],
            num_things=len(self._metainfo['thing_classes']),
            class_order=self._metainfo['class_order'])
        return info

    def get_cat_ids(self, idx: int) -> List[int]:
        """Labels of the segments of a sample, crowds left out."""
        return [
            segment['label']
            for segment in self.get_data_info(idx)['segments_info']
            if not segment['iscrowd']
        ]

    def prepare_data(self, idx: int) -> Optional[dict]:
        """Run the pipeline; an error of OpenCV gets the name of the file.

        MMCV names a corrupt image itself, but not one of zero bytes.
        """
        try:
            return super().prepare_data(idx)
        except cv2.error as error:
            raise ValueError(f'{self.get_data_info(idx)["img_path"]} cannot '
                             f'be read or transformed: {error}') from error

    def _check_files(self, paths: List[str], kind: str) -> None:
        """Look for all files with one listing per folder."""
        if not isinstance(
                get_file_backend(paths[0], backend_args=self.backend_args),
                LocalBackend):
            return
        listings, missing = {}, []
        for path in paths:
            folder, name = osp.split(path)
            if folder not in listings:
                exists = osp.isdir(folder or '.')
                listings[folder] = set(
                    os.listdir(folder or '.') if exists else ())
            if name not in listings[folder]:
                missing.append(path)
        if missing:
            raise FileNotFoundError(
                f'{self.ann_file} names {len(paths)} {kind} files, of which '
                f'{len(missing)} do not exist: {_some(missing)}')


def load_panoptic_json(ann_file: str,
                       backend_args: Optional[dict] = None) -> dict:
    """Read a JSON in COCO panoptic format.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no JSON, or lacks one of the lists ``images``,
            ``annotations`` and ``categories``, or one of them is empty.
    """
    try:
        content = load(ann_file, file_format='json', backend_args=backend_args)
    except ValueError as error:
        raise ValueError(f'{ann_file} is not a JSON file: {error}') from error
    for key in ('images', 'annotations', 'categories'):
        if not isinstance(content, dict) or not content.get(key):
            raise ValueError(f'{ann_file} has no {key}: it must be in COCO '
                             'panoptic format')
    return content


def panoptic_metainfo(categories: Sequence[dict], ann_file: str) -> dict:
    """Meta information from the ``categories`` of a panoptic JSON.

    Args:
        categories (list[dict]): Each with ``id``, ``name``, ``isthing`` and
            perhaps ``color``.
        ann_file (str): Named in errors.

    Returns:
        dict: See :class:`PanopticDataset`.

    Raises:
        ValueError: If a category lacks something or an id occurs twice.
    """
    for category in categories:
        _check_fields(category, 'category', ann_file)
        if category['isthing'] not in (0, 1):
            raise ValueError(
                f'{ann_file}: category {category["name"]!r} has isthing '
                f'{category["isthing"]!r}: it must be 1 (thing) or 0 (stuff)')
    ids = [category['id'] for category in categories]
    _check_unique(ids, 'category id', ann_file)
    # False sorts first, and sorting keeps the order of equals.
    ordered = sorted(categories, key=lambda category: not category['isthing'])
    names = tuple(category['name'] for category in ordered)
    num_things = sum(bool(category['isthing']) for category in categories)
    category_ids = tuple(category['id'] for category in ordered)
    return dict(
        classes=names,
        thing_classes=names[:num_things],
        stuff_classes=names[num_things:],
        palette=_palette(ordered, ann_file),
        category_ids=category_ids,
        class_order=tuple(category_ids.index(i) for i in ids))


def _palette(categories: Sequence[dict],
             ann_file: str) -> List[Tuple[int, int, int]]:
    """The colour of each category, or a distinct one where it has none."""
    given = []
    for category in categories:
        color = category.get('color')
        if color is not None and not (len(color) == 3 and all(0 <= c <= 255
                                                              for c in color)):
            raise ValueError(
                f'{ann_file}: category {category["name"]!r} has color {color}:'
                ' it must be three numbers from 0 to 255')
        given.append(color and tuple(int(c) for c in color))
    free = (color for color in _distinct_colors() if color not in given)
    return [color or next(free) for color in given]


def _distinct_colors() -> Iterator[Tuple[int, int, int]]:
    """Colours as in PASCAL VOC: the bits of a number, dealt to R, G, B."""
    for number in count(1):
        channels = [0, 0, 0]
        for bit in range(24):
            channels[bit % 3] |= (number >> bit & 1) << (7 - bit // 3)
        yield tuple(channels)


def _merge_metainfo(given: dict, read: dict, ann_file: str) -> dict:
    """Lay the config's metainfo over the JSON's, which it must not deny."""
    merged = {**given, **read}
    if 'palette' in given:
        merged['palette'] = [tuple(color) for color in given['palette']]
        if len(merged['palette']) != len(read['classes']):
            raise ValueError(
                f'metainfo has a palette of {len(merged["palette"])} colours, '
                f'but {ann_file} has {len(read["classes"])} categories')
    for key in set(given) & set(read) - {'palette'}:
        if tuple(given[key]) != read[key]:
            raise ValueError(
                f'metainfo has {key} {tuple(given[key])}, but {ann_file} has '
                f'{read[key]}: leave {key} out, it is read from the file')
    return merged


def _pair_annotations(content: dict, ann_file: str) -> List[Tuple[dict, dict]]:
    """Each image with its annotation, in the order of the images."""
    for image in content['images']:
        _check_fields(image, 'image', ann_file)
    for annotation in content['annotations']:
        _check_fields(annotation, 'annotation', ann_file)
    images, annotations = content['images'], content['annotations']
    _check_unique([i['id'] for i in images], 'image id', ann_file)
    _check_unique([a['image_id'] for a in annotations],
                  'annotation for image id', ann_file)

    by_image = {a['image_id']: a for a in annotations}
    missing = [i['file_name'] for i in images if i['id'] not in by_image]
    if missing:
        raise ValueError(f'{ann_file}: {len(missing)} image(s) have no '
                         f'annotation: {_some(missing)}')
    image_ids = {i['id'] for i in images}
    orphans = [i for i in by_image if i not in image_ids]
    if orphans:
        raise ValueError(f'{ann_file}: {len(orphans)} annotation(s) have an '
                         f'image_id that no image has: {_some(orphans)}')
    return [(image, by_image[image['id']]) for image in images]


def _parse_segments(annotation: dict, label_of: Dict[int, int],
                    ann_file: str) -> List[dict]:
    """The segments of an annotation with labels instead of category ids."""
    where = f'{ann_file}, annotation of {annotation["file_name"]}'
    segments = []
    for segment in annotation['segments_info']:
        _check_fields(segment, 'segment', where)
        if not 0 < segment['id'] <= _LARGEST_ID:
            raise ValueError(f'{where}: segment id {segment["id"]} must be '
                             f'from 1 (0 is void) to {_LARGEST_ID}')
        if segment['category_id'] not in label_of:
            raise ValueError(
                f'{where}: segment {segment["id"]} has the category_id '
                f'{segment["category_id"]}, which no category has')
        segments.append(
            dict(
                id=segment['id'],
                label=label_of[segment['category_id']],
                iscrowd=int(segment.get('iscrowd', 0))))
    _check_unique([segment['id'] for segment in segments], 'segment id', where)
    return segments


def _check_fields(entry: dict, kind: str, where: str) -> None:
    for field, meaning in _FIELDS[kind].items():
        if field not in entry:
            name = entry.get('name', entry.get('file_name', entry.get('id')))
            raise ValueError(f'{where}: {kind} {name!r} lacks {field!r}, '
                             f'{meaning}')


def _check_unique(values: Sequence, kind: str, where: str) -> None:
    if len(set(values)) < len(values):
        seen = set()
        twice = [v for v in values if v in seen or seen.add(v)]
        raise ValueError(f'{where}: {kind} {twice[0]} occurs more than once')


def _some(values: Sequence, number: int = 3) -> str:
    dots = ', ...' if len(values) > number else ''
    return ', '.join(map(str, values[:number])) + dots
