"""Any data set in COCO panoptic format, described by its JSON alone."""
import os.path as osp
from typing import List

from mmdet.registry import DATASETS

from ..tasks import TASKS
from .base_dataset import BaseSegmentationDataset
from .checks import some
from .coco_json import load_panoptic_json, pair_panoptic, parse_segments


@DATASETS.register_module()
class PanopticDataset(BaseSegmentationDataset):
    """Data set in COCO panoptic format, which answers all three tasks.

    Classes, things and stuff are read from the JSON, whatever their order
    and ids; the config names files only::

        dict(type='PanopticDataset', data_root='data/x/',
             ann_file='panoptic_train.json',
             data_prefix=dict(img='train/', seg='panoptic_train/'))

    A sample has ``height``, ``width``, ``seg_map_path`` and
    ``segments_info``, a list of ``dict(id, label, iscrowd)`` in the order of
    the JSON, with the ``area`` where the JSON gives it, besides what
    `BaseSegmentationDataset` says.

    Args:
        ann_file (str): The JSON.
        data_prefix (dict): Folders of the images (``img``) and of the
            panoptic PNGs (``seg``); ``sem`` as in `BaseSegmentationDataset`.
        allow_unlisted (bool): Whether the folder of panoptic PNGs may have
            PNGs that the JSON does not name, as when splits share a folder
            or the JSON has a part of the images. Otherwise that is an error,
            for it cannot be told from a JSON that lost entries.
        kwargs: See `BaseSegmentationDataset`.
    """
    tasks = TASKS
    contents = dict(img='images', seg='panoptic PNGs')

    def __init__(self, *args, allow_unlisted: bool = False, **kwargs) -> None:
        self.allow_unlisted = allow_unlisted
        super().__init__(*args, **kwargs)

    def load_data_list(self) -> List[dict]:
        """Read and check the JSON, and that the files it names exist."""
        content = load_panoptic_json(self.ann_file, self.backend_args)
        pairs = pair_panoptic(content, self.ann_file)
        label_of = self._set_classes(content['categories'])
        data_list = [
            self.parse_data_info(
                dict(image=image, annotation=annotation, label_of=label_of))
            for image, annotation in pairs
        ]
        self._check_files(data_list)
        if not self.allow_unlisted:
            self._check_unlisted(data_list)
        return data_list

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """Turn an image and its annotation into a sample."""
        image = raw_data_info['image']
        annotation = raw_data_info['annotation']
        return dict(
            self._paths(image['file_name']),
            img_id=image['id'],
            height=image['height'],
            width=image['width'],
            seg_map_path=osp.join(self.data_prefix['seg'],
                                  annotation['file_name']),
            segments_info=parse_segments(annotation, raw_data_info['label_of'],
                                         self.ann_file))

    def _check_unlisted(self, data_list: List[dict]) -> None:
        """Look for panoptic PNGs that the JSON does not name."""
        paths = [info['seg_map_path'] for info in data_list]
        if not self._is_local(paths[0]):
            return
        # Images, and maps of other kinds, may lie in the same folder.
        known = paths + [
            info[key] for info in data_list
            for key in ('img_path', 'semantic_map_path') if key in info
        ]
        unlisted = self._listings.others(
            map(osp.dirname, paths), '.png', known)
        if unlisted:
            raise ValueError(
                f'{self.ann_file} has no entry for {len(unlisted)} of the '
                f'panoptic PNGs in its folder: {some(unlisted)}. If it is '
                'meant to have a part of them only, set allow_unlisted=True')
