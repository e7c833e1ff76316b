"""Data sets with label PNGs: a class for every pixel, and nothing else."""
import os.path as osp
from typing import Dict, List, Optional, Union

import numpy as np
from mmdet.datasets.transforms import PackDetInputs
from mmdet.registry import DATASETS
from mmengine.fileio import list_dir_or_file, list_from_file

from .base_dataset import BaseSegmentationDataset
from .checks import some
from .semantic_map import read_semantic_map, value_table

_IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')


@DATASETS.register_module()
class SemanticDataset(BaseSegmentationDataset):
    """Folders of images and of label PNGs, for the semantic task alone.

    Files are named as in MMSegmentation: the label PNG of ``a/b.jpg`` is
    ``a/b.png``. What is in ``categories`` without ``isthing`` is stuff; names
    may stand for categories::

        dict(type='SemanticDataset', data_root='data/x/',
             categories=['road', 'sky', 'car'],
             data_prefix=dict(img='train/', sem='semantic_train/'))

    A sample has ``semantic_map_path`` and ``semantic_labels``, the label of
    each value (see `value_table`), besides what `BaseSegmentationDataset`
    says; ``img_id`` is the path of the image without its suffix.

    Args:
        categories (str or list): The classes, see `BaseSegmentationDataset`.
        data_prefix (dict): Folders of the images (``img``) and of the label
            PNGs (``sem``).
        ann_file (str): List of the images to use, one path without suffix a
            line; empty for all in the folder, which must then be as many as
            label PNGs.
        img_suffix (str, optional): How image names end; by default in any
            extension of images.
        sem_suffix (str): What label PNGs have in its place.
        reduce_zero_label (bool): Whether 0 is void and values count from 1.
        values (dict, optional): The value or list of values of each class,
            by name, where they are others; what is not listed is void.
        kwargs: See `BaseSegmentationDataset`.
    """
    tasks = ('semantic', )
    contents = dict(img='images', sem='label PNGs')
    default_isthing = 0

    def __init__(self,
                 *args,
                 reduce_zero_label: bool = False,
                 values: Optional[Dict[str, Union[int, List[int]]]] = None,
                 **kwargs) -> None:
        if reduce_zero_label and values:
            raise ValueError('reduce_zero_label and values say both what the '
                             'pixels of label PNGs mean: give one')
        self.reduce_zero_label = reduce_zero_label
        self.values = values
        super().__init__(*args, **kwargs)
        self._check_meta_keys()

    @property
    def origin(self) -> str:
        """The list of images, or else the folder of label PNGs."""
        return self.ann_file or self.data_prefix['sem']

    def load_data_list(self) -> List[dict]:
        """List the images, and check that each has its label PNG."""
        if not self.categories:
            raise ValueError(
                f'the SemanticDataset of {self.origin} has no '
                'categories: name its classes in the order of their values')
        self._set_classes(None)
        self._semantic_labels = value_table(self._metainfo['classes'],
                                            self._metainfo['class_order'],
                                            self.values,
                                            self.reduce_zero_label)
        images = self._list_images()
        names = self._read_names(images) if self.ann_file else sorted(images)
        data_list = [
            self.parse_data_info(dict(name=name, file_name=images[name]))
            for name in names
        ]
        self._check_files(data_list)
        if not self.ann_file:
            self._check_imageless(data_list)
        return data_list

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """Turn the name of an image into a sample."""
        return dict(
            self._paths(raw_data_info['file_name']),
            img_id=raw_data_info['name'])

    def get_data_info(self, idx: int) -> dict:
        """The sample, with what the transforms must know."""
        info = super().get_data_info(idx)
        info['semantic_labels'] = self._semantic_labels
        return info

    def segments_of(self, info: dict) -> List[dict]:
        """The classes of a sample, for which its label PNG is read."""
        values = read_semantic_map(info['semantic_map_path'],
                                   self.backend_args)
        labels = {self._semantic_labels[value] for value in np.unique(values)}
        return [dict(label=i, iscrowd=0) for i in sorted(labels) if i >= 0]

    def filter_data(self) -> List[dict]:
        """All samples: sizes and classes are in the files alone."""
        if self.filter_cfg:
            raise ValueError(
                f'filter_cfg {self.filter_cfg} cannot be applied to label '
                'PNGs without reading them all: list the images to use in '
                'ann_file')
        return self.data_list

    def _list_images(self) -> Dict[str, str]:
        """Path of each image below the folder, by the path without suffix."""
        folder = self.data_prefix['img']
        if self.img_suffix is None and osp.realpath(folder) == osp.realpath(
                self.data_prefix['sem']):
            raise ValueError(f'{folder} has both images and label PNGs: tell '
                             'them apart by img_suffix and sem_suffix')
        images = {}
        for path in list_dir_or_file(
                folder,
                list_dir=False,
                recursive=True,
                backend_args=self.backend_args):
            if self.img_suffix is None:
                stem, suffix = osp.splitext(path)
                is_image = suffix.lower() in _IMAGE_SUFFIXES
            else:
                stem = path[:-len(self.img_suffix)]
                is_image = path.endswith(self.img_suffix)
            if is_image and images.setdefault(stem, path) != path:
                raise ValueError(f'{folder} has two images {stem}, {path} and '
                                 f'{images[stem]}: choose by img_suffix')
        if not images:
            raise FileNotFoundError(
                f'{folder} has no image whose name ends in '
                f'{self.img_suffix or " or ".join(_IMAGE_SUFFIXES)}')
        return images

    def _read_names(self, images: Dict[str, str]) -> List[str]:
        """The names that the list gives, all of which must be images."""
        lines = list_from_file(self.ann_file, backend_args=self.backend_args)
        names = [line.strip() for line in lines if line.strip()]
        missing = [name for name in names if name not in images]
        if missing or not names:
            raise FileNotFoundError(
                f'{self.ann_file} names {len(names)} images, of which '
                f'{len(missing)} are not in {self.data_prefix["img"]}: '
                f'{some(missing)}. A line is a path in there without '
                f'{self.img_suffix or "extension"}')
        return names

    def _check_imageless(self, data_list: List[dict]) -> None:
        """Look for label PNGs that belong to no image."""
        folder = self.data_prefix['sem']
        known = {info['semantic_map_path'] for info in data_list}
        imageless = [
            path for path in list_dir_or_file(
                folder,
                list_dir=False,
                suffix=self.sem_suffix,
                recursive=True,
                backend_args=self.backend_args)
            if osp.join(folder, path) not in known
        ]
        if imageless:
            raise ValueError(
                f'{len(imageless)} label PNGs in {folder} belong to no image '
                f'in {self.data_prefix["img"]}: {some(sorted(imageless))}. If '
                'that is meant, list the images to use in ann_file')

    def _check_meta_keys(self) -> None:
        """Metrics must know of values that are no indices of categories."""
        if not self.values and not self.reduce_zero_label:
            return
        for transform in self.pipeline.transforms:
            if isinstance(transform, PackDetInputs):
                keys = set(transform.meta_keys)
                if ('semantic_map_path' in keys
                        and 'semantic_labels' not in keys):
                    raise ValueError(
                        "PackDetInputs has 'semantic_map_path' among its "
                        "meta_keys, but not 'semantic_labels', which says "
                        'what the values in those PNGs mean')
