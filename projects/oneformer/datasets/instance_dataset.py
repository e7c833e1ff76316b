"""Data sets with COCO instance annotation: objects, and nothing else."""
from typing import List

from mmdet.registry import DATASETS

from .base_dataset import BaseSegmentationDataset
from .coco_json import (load_instance_json, pair_instances, parse_instances,
                        report_maskless)


@DATASETS.register_module()
class InstanceDataset(BaseSegmentationDataset):
    """Data set with COCO instance annotation, for the instance task alone.

    All its categories are things. Masks may be polygons or RLEs, crowds
    included; `LoadInstanceMap` draws them. Images may have none::

        dict(type='InstanceDataset', data_root='data/x/',
             ann_file='instances_train.json',
             data_prefix=dict(img='train/'))

    A sample has ``height``, ``width`` and ``instances``, a list of
    ``dict(label, iscrowd, segmentation)``, besides what
    `BaseSegmentationDataset` says.

    Args:
        ann_file (str): The JSON.
        data_prefix (dict): Folder of the images (``img``).
        kwargs: See `BaseSegmentationDataset`.
    """
    tasks = ('instance', )
    default_isthing = 1

    def load_data_list(self) -> List[dict]:
        """Read and check the JSON, and that the images it names exist."""
        content = load_instance_json(self.ann_file, self.backend_args)
        pairs = pair_instances(content, self.ann_file)
        label_of = self._set_classes(content['categories'])
        self._check_things(content['categories'], label_of)
        data_list = [
            self.parse_data_info(
                dict(image=image, annotations=annotations, label_of=label_of))
            for image, annotations in pairs
        ]
        report_maskless(content,
                        sum(len(info['instances']) for info in data_list),
                        self.ann_file)
        self._check_files(data_list)
        return data_list

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """Turn an image and its annotations into a sample."""
        image = raw_data_info['image']
        return dict(
            self._paths(image['file_name']),
            img_id=image['id'],
            height=image['height'],
            width=image['width'],
            instances=parse_instances(image, raw_data_info['annotations'],
                                      raw_data_info['label_of'],
                                      self.ann_file))

    def segments_of(self, info: dict) -> List[dict]:
        """The instances of a sample."""
        return info['instances']

    def _check_things(self, categories: List[dict], label_of: dict) -> None:
        """Refuse stuff, which the instance task does not know."""
        num_things = len(self._metainfo['thing_classes'])
        for category in categories:
            if label_of[category['id']] >= num_things:
                raise ValueError(
                    f'{self.ann_file}: category {category["name"]!r} is stuff '
                    'in its categories: instance annotation serves things '
                    'only')
