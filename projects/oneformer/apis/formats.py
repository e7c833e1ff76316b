"""The file formats in which other tools read the answers."""
import io
from typing import Dict, List, Optional, Sequence

import cv2
import numpy as np
import pycocotools.mask as mask_util
from mmdet.visualization import get_palette
from PIL import Image


def encode_image(image: np.ndarray, suffix: str) -> bytes:
    """A picture (H, W, 3), RGB, as a file of the kind that a suffix names.

    Encoded in memory, as OpenCV does not tell of a disk that is full.
    """
    return cv2.imencode(suffix, image[..., ::-1])[1].tobytes()


def encode_panoptic(id_map: np.ndarray) -> bytes:
    """A map of segment ids (H, W) as a panoptic PNG of COCO.

    An id is R + 256 G + 65536 B of its pixels, 0 is void.
    """
    channels = np.ascontiguousarray(id_map, '<i4').view(np.uint8)
    rgb = channels.reshape(*id_map.shape, 4)[..., :3]
    return encode_image(rgb, '.png')


def encode_semantic(
        label_map: np.ndarray,
        palette: Optional[Sequence[Sequence[int]]] = None) -> bytes:
    """A map of labels (H, W) as a PNG of one channel.

    Args:
        label_map: Of 8 bits if all labels are below 256, else of 16 bits.
        palette: The RGB color in which viewers show each label, of 256 at
            most. PIL reads the labels of such a PNG, OpenCV the colors.
    """
    depth = np.uint8 if label_map.max() < 256 else np.uint16
    labels = label_map.astype(depth)
    if palette is None:
        return cv2.imencode('.png', labels)[1].tobytes()
    image = Image.fromarray(labels)
    colors = np.zeros((256, 3), np.uint8)  # with fewer, fewer bits are used
    colors[:len(palette)] = palette
    image.putpalette(colors.tobytes())
    file = io.BytesIO()
    image.save(file, 'PNG')
    return file.getvalue()


def coco_categories(dataset_meta: dict) -> List[dict]:
    """The classes as ``categories`` of a COCO panoptic JSON.

    In the order of the data set, which may differ from that of the labels.

    Args:
        dataset_meta: See `class_metainfo`.
    """
    classes = dataset_meta['classes']
    colors = get_palette(dataset_meta['palette'], len(classes))
    return [
        dict(
            id=int(dataset_meta['category_ids'][label]),
            name=classes[label],
            isthing=int(label < len(dataset_meta['thing_classes'])),
            color=[int(value) for value in colors[label]])
        for label in dataset_meta['class_order']
    ]


def class_indices(dataset_meta: dict) -> np.ndarray:
    """The place of each label in the order of the data set, (K, )."""
    order = np.asarray(dataset_meta['class_order'])
    indices = np.empty(len(order), np.int32)
    indices[order] = np.arange(len(order))
    return indices


def panoptic_annotation(result: dict, file_name: str,
                        category_ids: Sequence[int]) -> dict:
    """A panoptic answer as an annotation of COCO, without its image's id.

    Args:
        result: See `panoptic_result`.
        file_name: Of the PNG.
        category_ids: The category of each label.
    """
    return dict(
        file_name=file_name,
        segments_info=[
            dict(
                id=segment['id'],
                category_id=int(category_ids[segment['label']]),
                area=segment['area'],
                bbox=segment['bbox'],
                iscrowd=0,
                score=segment['score']) for segment in result['segments_info']
        ])


def instance_annotations(result: dict,
                         category_ids: Sequence[int]) -> List[Dict]:
    """Instances as annotations of COCO, without ids of their own or images'.

    Those without a pixel are left out.

    Args:
        result: See `instance_result`.
        category_ids: The category of each label.
    """
    annotations = []
    for label, score, mask in zip(result['labels'], result['scores'],
                                  result['masks']):
        area = int(mask_util.area(mask))
        if area:
            annotations.append(
                dict(
                    category_id=int(category_ids[label]),
                    segmentation=mask,
                    area=area,
                    bbox=[int(side) for side in mask_util.toBbox(mask)],
                    iscrowd=0,
                    score=score))
    return annotations
