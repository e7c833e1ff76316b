"""Reading and checking the JSONs of COCO panoptic and instance annotation."""
from typing import Dict, List, Optional, Sequence, Tuple, Union

from mmengine.fileio import load
from mmengine.logging import print_log

from .checks import check_fields, check_unique, some

_LARGEST_ID = 256**3 - 1


def load_coco_json(ann_file: str, backend_args: Optional[dict] = None) -> dict:
    """Read a JSON in a COCO format.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no JSON, or lacks one of the lists ``images``,
            ``annotations`` and ``categories``, or has no image or category.
    """
    try:
        content = load(ann_file, file_format='json', backend_args=backend_args)
    except ValueError as error:
        raise ValueError(f'{ann_file} is not a JSON file: {error}') from error
    for key in ('images', 'annotations', 'categories'):
        if (not isinstance(content, dict)
                or not isinstance(content.get(key), list)
                or not content[key] and key != 'annotations'):
            raise ValueError(f'{ann_file} has no {key}: it must be in COCO '
                             'panoptic or instance format')
    return content


def load_panoptic_json(ann_file: str,
                       backend_args: Optional[dict] = None) -> dict:
    """Read a JSON in COCO panoptic format.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: See `load_coco_json`; and if it has no annotations, or
            they are of objects.
    """
    content = load_coco_json(ann_file, backend_args)
    if not content['annotations']:
        raise ValueError(f'{ann_file} has no annotations: it must be in COCO '
                         'panoptic format')
    if is_instance_json(content):
        raise ValueError(
            f'{ann_file} is COCO instance annotation (its annotations are of '
            'objects, not of images): its data set is of the type '
            'InstanceDataset')
    return content


def load_instance_json(ann_file: str,
                       backend_args: Optional[dict] = None) -> dict:
    """Read a JSON of COCO instance annotation.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: See `load_coco_json`; and if annotations are of images.
    """
    content = load_coco_json(ann_file, backend_args)
    if _first_has(content, 'segments_info'):
        raise ValueError(
            f'{ann_file} is COCO panoptic annotation (its annotations have '
            'segments_info): its data set is of the type PanopticDataset')
    return content


def is_instance_json(content: dict) -> bool:
    """Whether annotations are of objects, rather than of images."""
    return _first_has(content, 'category_id')


def _first_has(content: dict, key: str) -> bool:
    first = next(iter(content['annotations']), None)
    return isinstance(first, dict) and key in first


def pair_panoptic(content: dict, ann_file: str) -> List[Tuple[dict, dict]]:
    """Each image with its annotation, in the order of the images.

    Raises:
        ValueError: If one lacks something or has no partner.
    """
    images, annotations = content['images'], content['annotations']
    _check_images(images, ann_file)
    for annotation in annotations:
        check_fields(annotation, 'panoptic annotation', ann_file)
    check_unique([a['image_id'] for a in annotations],
                 'annotation for image id', ann_file)
    by_image = {a['image_id']: a for a in annotations}
    missing = [i['file_name'] for i in images if i['id'] not in by_image]
    if missing:
        raise ValueError(f'{ann_file}: {len(missing)} image(s) have no '
                         f'annotation: {some(missing)}')
    _check_no_orphans(images, annotations, ann_file)
    return [(image, by_image[image['id']]) for image in images]


def pair_instances(content: dict,
                   ann_file: str) -> List[Tuple[dict, List[dict]]]:
    """Each image with its annotations, of which there may be none.

    Raises:
        ValueError: If one lacks something or belongs to no image.
    """
    images, annotations = content['images'], content['annotations']
    _check_images(images, ann_file)
    for annotation in annotations:
        check_fields(annotation, 'instance annotation', ann_file)
    _check_no_orphans(images, annotations, ann_file)
    by_image = {image['id']: [] for image in images}
    for annotation in annotations:
        by_image[annotation['image_id']].append(annotation)
    return [(image, by_image[image['id']]) for image in images]


def parse_segments(annotation: dict, label_of: Dict[int, int],
                   ann_file: str) -> List[dict]:
    """The segments of a panoptic annotation, labels for category ids.

    Returns:
        list[dict]: ``id``, ``label`` and ``iscrowd`` of each, and the
        ``area`` that the JSON gives it.
    """
    where = f'{ann_file}, annotation of {annotation["file_name"]}'
    segments = []
    for segment in annotation['segments_info']:
        check_fields(segment, 'segment', where)
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
        if 'area' in segment:
            segments[-1]['area'] = int(segment['area'])
    check_unique([segment['id'] for segment in segments], 'segment id', where)
    return segments


def parse_instances(image: dict, annotations: Sequence[dict],
                    label_of: Dict[int, int], ann_file: str) -> List[dict]:
    """The instances of an image, labels for category ids.

    Returns:
        list[dict]: ``label``, ``iscrowd`` (also for what is marked
        ``ignore``) and ``segmentation`` of each that has a mask.
    """
    where = f'{ann_file}, image {image["file_name"]}'
    instances = []
    for annotation in annotations:
        if annotation['category_id'] not in label_of:
            raise ValueError(
                f'{where}: annotation {annotation.get("id")} has the '
                f'category_id {annotation["category_id"]}, which no category '
                'has')
        segmentation = _usable_segmentation(annotation, image, where)
        if segmentation:
            instances.append(
                dict(
                    label=label_of[annotation['category_id']],
                    iscrowd=int(
                        bool(
                            annotation.get('iscrowd')
                            or annotation.get('ignore'))),
                    segmentation=segmentation))
    return instances


def _usable_segmentation(annotation: dict, image: dict,
                         where: str) -> Union[dict, List[list], None]:
    """An RLE of the image's size, or the polygons of three points and more.
    """
    segmentation = annotation.get('segmentation')
    if isinstance(segmentation, dict):
        size = [image['height'], image['width']]
        if list(segmentation.get('size', ())) != size:
            raise ValueError(
                f'{where}: annotation {annotation.get("id")} has an RLE of '
                f'size {segmentation.get("size")}, but the image has {size} '
                '(height, width)')
        return segmentation
    # pycocotools would take four numbers for a box
    return [
        polygon for polygon in segmentation or ()
        if isinstance(polygon, list) and len(polygon) >= 6 and len(polygon) %
        2 == 0
    ]


def report_maskless(content: dict, num_kept: int, ann_file: str) -> None:
    """Say how many annotations have no mask; refuse a file of boxes alone."""
    number = len(content['annotations'])
    if number and not num_kept:
        raise ValueError(
            f'{ann_file}: none of its {number} annotations has a mask: '
            "'segmentation' must hold polygons of three or more points, or an "
            'RLE; boxes are not enough')
    if num_kept < number:
        print_log(
            f'{ann_file}: {number - num_kept} of {number} annotations are '
            'left out, for they have no polygon of three points and no RLE',
            logger='current')


def _check_images(images: Sequence[dict], ann_file: str) -> None:
    for image in images:
        check_fields(image, 'image', ann_file)
    check_unique([i['id'] for i in images], 'image id', ann_file)


def _check_no_orphans(images: Sequence[dict], annotations: Sequence[dict],
                      ann_file: str) -> None:
    image_ids = {i['id'] for i in images}
    orphans = [
        a['image_id'] for a in annotations if a['image_id'] not in image_ids
    ]
    if orphans:
        raise ValueError(f'{ann_file}: {len(orphans)} annotation(s) have an '
                         f'image_id that no image has: {some(orphans)}')
