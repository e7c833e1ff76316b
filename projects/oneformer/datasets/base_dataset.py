"""What the data sets share, whatever their annotation."""
import os.path as osp
from typing import Dict, List, Optional, Sequence, Tuple, Union

import cv2
from mmdet.datasets import BaseDetDataset
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.logging import print_log

from .files import FolderListings, check_tree
from .metainfo import (complete_categories, match_categories, merge_metainfo,
                       panoptic_metainfo)
from .transforms import TaskSampling

#: Paths of a sample, and what is there.
_FILES = dict(
    img_path='image',
    seg_map_path='panoptic PNG',
    semantic_map_path='label PNG')


class BaseSegmentationDataset(BaseDetDataset):
    """Data set of one kind of annotation, and the tasks it can answer.

    Labels count things first, then stuff, each in the order of the
    categories. ``metainfo`` has ``classes``, ``thing_classes``,
    ``stuff_classes``, ``palette`` (RGB) and ``category_ids`` by label, and
    ``class_order``, the labels in the order of the categories.

    A sample has ``img_path`` and ``img_id``; ``semantic_map_path`` where
    ``data_prefix`` has ``sem``; ``tasks``, those that its annotation can
    answer; and ``classes``, ``num_things`` and ``class_order`` for the
    transforms.

    Args:
        categories (str or list, optional): The classes, in the order of the
            texts and of the values of label PNGs: the name of a data set in
            :mod:`.categories`, a list of dicts with ``id``, ``name``,
            ``isthing`` and perhaps ``color``, or a JSON that has such a list.
            An annotation that knows its categories must know no others, see
            `match_categories`. Defaults to None: those of the annotation.
        data_prefix (dict): Folders, see the data set; ``sem``, where given,
            has label PNGs for evaluation, whose values are indices of
            ``categories`` and void from their number on.
        img_suffix (str, optional): What the name of a label PNG has replaced
            in that of its image; by default its extension.
        sem_suffix (str): What replaces it.
        metainfo (dict, optional): Must agree with the categories where both
            speak, but for ``palette``, which replaces their colours.
        filter_cfg (dict, optional): Images to drop from training:
            ``filter_empty_gt=True`` those without a segment other than
            crowds, ``min_size`` those with a side shorter than that many
            pixels. Defaults to None, which keeps all.
        kwargs: See :class:`mmdet.datasets.BaseDetDataset`.

    Raises:
        FileNotFoundError: If a file or folder is missing.
        ValueError: If the annotation contradicts itself, the categories or
            the tasks that the pipeline draws, or lacks something.
    """
    #: The tasks that the annotation can answer.
    tasks: Tuple[str, ...] = ()
    #: What the folders in ``data_prefix`` hold; those it must have.
    contents: Dict[str, str] = dict(img='images')
    #: What a category is that does not say ``isthing``; None: it must.
    default_isthing: Optional[int] = None

    def __init__(self,
                 *args,
                 categories: Union[str, Sequence[dict], None] = None,
                 img_suffix: Optional[str] = None,
                 sem_suffix: str = '.png',
                 **kwargs) -> None:
        self.categories = categories
        self.img_suffix = img_suffix
        self.sem_suffix = sem_suffix
        self._listings = FolderListings()
        super().__init__(*args, **kwargs)

    @property
    def origin(self) -> str:
        """What messages name: the annotation."""
        return self.ann_file

    @property
    def metainfo(self) -> dict:
        """Meta information.

        A lazy data set reads its annotation for it, if it must.
        """
        if not self._fully_initialized:
            if self.categories is None:
                self.full_init()
            else:
                self._set_classes(None)
        return super().metainfo

    def full_init(self) -> None:
        """Check what the config says, then load the annotation."""
        if self._fully_initialized:
            return
        self._check_tree()
        self._check_tasks()
        super().full_init()
        self._listings = FolderListings()

    def get_data_info(self, idx: int) -> dict:
        """The sample, with what the transforms must know."""
        info = super().get_data_info(idx)
        info.update(
            tasks=self.tasks,
            classes=self._metainfo['classes'],
            num_things=len(self._metainfo['thing_classes']),
            class_order=self._metainfo['class_order'])
        return info

    def segments_of(self, info: dict) -> List[dict]:
        """What a sample shows: ``label`` and ``iscrowd`` of each segment."""
        return info['segments_info']

    def get_cat_ids(self, idx: int) -> List[int]:
        """Labels of the segments of a sample, crowds left out."""
        return [
            segment['label']
            for segment in self.segments_of(self.get_data_info(idx))
            if not segment['iscrowd']
        ]

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
                                       for segment in self.segments_of(info)))
        ]
        print_log(
            f'{self.origin}: {len(self.data_list) - len(kept)} of '
            f'{len(self.data_list)} images dropped by {self.filter_cfg}',
            logger='current')
        if not kept:
            raise ValueError(f'{self.origin} has no image that filter_cfg '
                             f'{self.filter_cfg} keeps')
        return kept

    def prepare_data(self, idx: int) -> Optional[dict]:
        """Run the pipeline; an error of OpenCV gets the name of the file.

        MMCV names a corrupt image itself, but not one of zero bytes.
        """
        try:
            return super().prepare_data(idx)
        except cv2.error as error:
            raise ValueError(f'{self.get_data_info(idx)["img_path"]} cannot '
                             f'be read or transformed: {error}') from error

    def _check_tasks(self) -> None:
        """Look whether the pipeline can draw a task that has an answer."""
        for transform in self.pipeline.transforms:
            if (isinstance(transform, TaskSampling)
                    and not transform.answerable(self.tasks)):
                raise ValueError(
                    f'{type(self).__name__} {self.origin} can answer '
                    f'the tasks {", ".join(self.tasks)}, but TaskSampling '
                    f'draws by {transform.probabilities}')

    def _check_tree(self) -> None:
        """Look whether annotation and folders are named, and there."""
        for key, content in self.contents.items():
            if key not in self.data_prefix:
                raise ValueError(
                    f'data_prefix {self.data_prefix} of '
                    f'{self.ann_file or type(self).__name__} lacks {key!r}: '
                    'give the folders of ' +
                    ' and '.join(f'{what} ({key})'
                                 for key, what in self.contents.items()))
        if self._is_local(self.ann_file or self.data_prefix['img']):
            contents = {'sem': 'label PNGs', **self.contents}
            folders = {
                key: folder
                for key, folder in self.data_prefix.items() if key in contents
            }
            check_tree(self.data_root, self.ann_file, folders, contents)

    def _is_local(self, path: str) -> bool:
        backend = get_file_backend(path, backend_args=self.backend_args)
        return isinstance(backend, LocalBackend)

    def _set_classes(self, found: Optional[Sequence[dict]]) -> Dict[int, int]:
        """Settle ``metainfo``.

        Args:
            found (list[dict], optional): The categories of an annotation
                that has some.

        Returns:
            dict[int, int]: Label by category id of the annotation.
        """
        where = self.origin
        if found is not None:
            if self.default_isthing is not None:
                found = [{'isthing': self.default_isthing, **c} for c in found]
            metainfo = panoptic_metainfo(found, where)
        if self.categories is not None:
            where = f'categories of {self.origin}'
            metainfo = panoptic_metainfo(
                complete_categories(self.categories, where,
                                    self.default_isthing), where)
        self._metainfo = merge_metainfo(self._metainfo, metainfo, where)
        return match_categories(found or (), self._metainfo, self.origin)

    def _paths(self, file_name: str) -> Dict[str, str]:
        """Paths of an image and of its label PNG, where there are some."""
        paths = dict(img_path=osp.join(self.data_prefix['img'], file_name))
        if 'sem' in self.data_prefix:
            stem = osp.splitext(file_name)[0]
            if self.img_suffix is not None:
                if not file_name.endswith(self.img_suffix):
                    raise ValueError(
                        f'image {file_name} of {self.origin} does not end in '
                        f'img_suffix {self.img_suffix!r}')
                stem = file_name[:-len(self.img_suffix)]
            paths['semantic_map_path'] = osp.join(self.data_prefix['sem'],
                                                  stem + self.sem_suffix)
        return paths

    def _check_files(self, data_list: List[dict]) -> None:
        """Look for the files that samples name."""
        for key, kind in _FILES.items():
            paths = [info[key] for info in data_list if key in info]
            if paths and self._is_local(paths[0]):
                self._listings.check_exist(paths, kind, self.origin)
