"""Several data sets in one run, under one list of categories."""
from typing import Sequence, Union

from mmdet.datasets import ConcatDataset
from mmdet.registry import DATASETS

from .metainfo import complete_categories, panoptic_metainfo


@DATASETS.register_module()
class MixedDataset(ConcatDataset):
    """Data sets of any kinds of annotation, joined.

    Each image draws only the tasks that its annotation can answer. Data sets
    may stand in wrappers, such as `RepeatDataset` to show one more often::

        dict(type='MixedDataset', categories='data/x/panoptic_train.json',
             datasets=[dict(type='PanopticDataset', ...),
                       dict(type='RepeatDataset', times=3,
                            dataset=dict(type='InstanceDataset', ...))])

    Args:
        datasets (list[dict]): Their configs, without ``categories``.
        categories (str or list): Of all data sets, each of which may have a
            part of them, see `BaseSegmentationDataset`.
        lazy_init (bool): Whether to put off reading annotations.

    Raises:
        ValueError: If a data set has categories of its own, the categories
            lack something, or meta information differs.
    """

    def __init__(self,
                 datasets: Sequence[dict],
                 categories: Union[str, Sequence[dict]],
                 lazy_init: bool = False) -> None:
        where = 'categories of the MixedDataset'
        # Kinds of data sets take categories for different things if these do
        # not say what they are.
        categories = complete_categories(categories, where)
        panoptic_metainfo(categories, where)
        shared = dict(categories=categories, lazy_init=lazy_init)
        super().__init__([_hand_down(dataset, shared) for dataset in datasets],
                         lazy_init,
                         ignore_keys='cumulative_sizes')
        if isinstance(self._metainfo, list):
            first, other = next((self._metainfo[0], meta)
                                for meta in self._metainfo
                                if meta != self._metainfo[0])
            keys = [key for key in first if first[key] != other.get(key)]
            raise ValueError(
                'the data sets of a MixedDataset must have the same metainfo, '
                f'but differ in {", ".join(keys)}')


def _hand_down(dataset: dict, shared: dict) -> dict:
    """The config of a data set with ``shared``, through its wrappers."""
    lazy = dict(lazy_init=shared['lazy_init'])
    if 'datasets' in dataset:
        inner = [
            _hand_down(wrapped, shared) for wrapped in dataset['datasets']
        ]
        return dict(dataset, datasets=inner, **lazy)
    if 'dataset' in dataset:
        return dict(
            dataset, dataset=_hand_down(dataset['dataset'], shared), **lazy)
    if dataset.get('categories') is not None:
        raise ValueError(
            f'the {dataset["type"]} {dataset.get("ann_file", "")} in a '
            'MixedDataset has categories: state them once, for all')
    return dict(dataset, **shared)
