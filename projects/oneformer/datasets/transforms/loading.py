"""Loading the annotation of an image as one id map, whatever its kind.

MMDetection's resize, flip, crop and pad carry the map along as
``gt_seg_map``; `TaskSampling` turns it into masks. Padding must be told
``pad_val=dict(img=..., seg=0)``: its default for maps is 255, an id.
"""
from abc import abstractmethod
from typing import List, Optional, Tuple, Union

import cv2
import numpy as np
import pycocotools.mask as mask_util
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS

from ..checks import some
from ..id_map import id_runs, read_id_map
from ..semantic_map import UNEXPECTED, read_semantic_map


class LoadSegmentMap(BaseTransform):
    """Base of the transforms that load an id map.

    Added keys:

    - gt_seg_map (ndarray): Segment ids, int32 (H, W); 0 is void.

    Args:
        backend_args (dict, optional): File backend as in MMEngine.
    """

    def __init__(self, backend_args: Optional[dict] = None) -> None:
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        """Add the id map.

        Raises:
            FileNotFoundError: If its file is missing.
            ValueError: If it is corrupt, differs from the image in size, or
                has what the annotation does not explain.
        """
        results['gt_seg_map'] = self.load(results)
        return results

    @abstractmethod
    def load(self, results: dict) -> np.ndarray:
        """The id map, int32 (H, W)."""

    @staticmethod
    def check_size(size: Tuple[int, int], name: str, results: dict) -> None:
        """Compare the size of an annotation with that of its image."""
        if 'img' in results:
            expected = tuple(results['img'].shape[:2])
        elif 'height' in results:
            expected = (results['height'], results['width'])
        else:
            return
        if size != expected:
            raise ValueError(
                f'{name} is {size[1]} x {size[0]} pixels, but its image '
                f'{results["img_path"]} is {expected[1]} x {expected[0]}')

    def __repr__(self) -> str:
        return f'{type(self).__name__}(backend_args={self.backend_args})'


@TRANSFORMS.register_module()
class LoadPanopticMap(LoadSegmentMap):
    """Load a panoptic PNG.

    Required keys: seg_map_path, segments_info, and img (or height and width).
    """

    def load(self, results: dict) -> np.ndarray:
        """The ids in the PNG, all of which its annotation must list."""
        path = results['seg_map_path']
        id_map = read_id_map(path, self.backend_args)
        self.check_size(id_map.shape, path, results)
        known = {segment['id'] for segment in results['segments_info']}
        present = np.unique(id_runs(id_map)[0]).tolist()
        unknown = [i for i in present if i and i not in known]
        if unknown:
            raise ValueError(
                f'{path} has {len(unknown)} segment id(s) that the '
                f'segments_info of its annotation lacks: {some(unknown, 5)} '
                '(0 is void)')
        return id_map


@TRANSFORMS.register_module()
class LoadInstanceMap(LoadSegmentMap):
    """Draw the masks of COCO instance annotation on one map.

    Where masks overlap, the smaller one lies on top: a tie on a person, not a
    person without it. Crowds lie below all others. What is covered entirely
    makes no mask.

    Required keys: instances, height, width.

    Added keys, besides the map:

    - segments_info (list[dict]): ``id``, ``label`` and ``iscrowd`` of each
      instance; ids count from 1, in the order of the annotation.
    """

    def load(self, results: dict) -> np.ndarray:
        """The number of the instance on top of each pixel."""
        size = (results['height'], results['width'])
        self.check_size(size, 'the annotation', results)
        instances = results['instances']
        results['segments_info'] = [
            dict(
                id=index + 1,
                label=instance['label'],
                iscrowd=instance['iscrowd'])
            for index, instance in enumerate(instances)
        ]
        try:
            return _draw(instances, size)
        except Exception as error:  # pycocotools raises bare exceptions
            raise ValueError(
                f'a segmentation of {results["img_path"]} is neither polygons '
                f'nor an RLE: {error}') from error


def _draw(instances: List[dict], size: Tuple[int, int]) -> np.ndarray:
    """The map of `LoadInstanceMap`."""
    rles = [_to_rle(i['segmentation'], *size) for i in instances]
    areas = [int(mask_util.area(rle)) for rle in rles]
    order = sorted(
        range(len(rles)),
        key=lambda i: (not instances[i]['iscrowd'], -areas[i]))
    # RLEs count down the columns, which are rows of the transposed map.
    transposed = np.zeros(size[::-1], np.int32)
    for index in order:
        mask = mask_util.decode(rles[index]).T.view(bool)
        np.copyto(transposed, index + 1, where=mask)
    return cv2.transpose(transposed)


def _to_rle(segmentation: Union[list, dict], height: int, width: int) -> dict:
    """An RLE of ``pycocotools`` from polygons or an RLE of either form."""
    if isinstance(segmentation, list):
        return mask_util.merge(
            mask_util.frPyObjects(segmentation, height, width))
    if isinstance(segmentation['counts'], list):
        return mask_util.frPyObjects(segmentation, height, width)
    return segmentation


@TRANSFORMS.register_module()
class LoadSemanticMap(LoadSegmentMap):
    """Load a label PNG, every class of which becomes a segment.

    Required keys: semantic_map_path, semantic_labels (see `value_table`),
    class_order, and img to compare sizes with.

    Added keys, besides the map:

    - segments_info (list[dict]): ``id``, ``label`` and ``iscrowd`` of each
      class that is there, in class order.
    """

    def load(self, results: dict) -> np.ndarray:
        """The label of each pixel plus 1; 0 for void."""
        path = results['semantic_map_path']
        values = read_semantic_map(path, self.backend_args)
        self.check_size(values.shape, path, results)
        table = np.array(results['semantic_labels'], np.int32)
        present = np.flatnonzero(np.bincount(values.ravel(), minlength=1))
        labels = table[present]
        if UNEXPECTED in labels:
            unexpected = present[labels == UNEXPECTED].tolist()
            raise ValueError(
                f'{path} has the values {some(unexpected, 5)}, which stand '
                f'for none of the {len(results["classes"])} classes (255 is '
                'void): see reduce_zero_label and values of SemanticDataset')
        labels = set(labels.tolist())
        results['segments_info'] = [
            dict(id=label + 1, label=label, iscrowd=0)
            for label in results['class_order'] if label in labels
        ]
        return (table + 1).clip(min=0)[values]
