"""Loading the panoptic annotation of an image as one id map."""
from typing import Optional

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS

from ..id_map import id_runs, read_id_map


@TRANSFORMS.register_module()
class LoadPanopticMap(BaseTransform):
    """Load the panoptic PNG as a single-channel id map.

    MMDetection's resize, flip, crop and pad carry it along as
    ``gt_seg_map``; `TaskSampling` turns it into masks. Padding must be told
    ``pad_val=dict(img=..., seg=0)``: its default for maps is 255, an id.

    Required keys: seg_map_path, segments_info, and img (or height and width).

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
            FileNotFoundError: If the PNG is missing.
            ValueError: If it is corrupt, differs from the image in size, or
                has ids that the annotation does not list.
        """
        id_map = read_id_map(results['seg_map_path'], self.backend_args)
        self._check_size(id_map, results)
        self._check_ids(id_map, results)
        results['gt_seg_map'] = id_map
        return results

    @staticmethod
    def _check_size(id_map: np.ndarray, results: dict) -> None:
        if 'img' in results:
            size = tuple(results['img'].shape[:2])
        else:
            size = (results['height'], results['width'])
        if id_map.shape != size:
            raise ValueError(
                f'{results["seg_map_path"]} is {id_map.shape[1]} x '
                f'{id_map.shape[0]} pixels, but its image '
                f'{results["img_path"]} is {size[1]} x {size[0]}')

    @staticmethod
    def _check_ids(id_map: np.ndarray, results: dict) -> None:
        known = {segment['id'] for segment in results['segments_info']}
        present = np.unique(id_runs(id_map)[0]).tolist()
        unknown = [i for i in present if i and i not in known]
        if unknown:
            some = ', '.join(map(str, unknown[:5]))
            raise ValueError(
                f'{results["seg_map_path"]} has {len(unknown)} segment id(s) '
                f'that the segments_info of its annotation lacks: {some}'
                f'{", ..." if len(unknown) > 5 else ""} (0 is void)')

    def __repr__(self) -> str:
        return f'{type(self).__name__}(backend_args={self.backend_args})'
