"""All tasks see one augmentation, whatever the pipeline."""
import numpy as np
import pytest
from mmcv.transforms import BaseTransform
from mmdet.registry import DATASETS, TRANSFORMS

from projects.oneformer.datasets.task_views import (data_sets, task_chances,
                                                    task_views)
from projects.oneformer.tasks import TASKS
from tests.helpers import (make_samples, write_instance_dataset,
                           write_panoptic_dataset, write_semantic_dataset)

WRITERS = dict(
    panoptic=write_panoptic_dataset,
    instance=write_instance_dataset,
    semantic=write_semantic_dataset)


def build(config, *behind, **sampling):
    """The data set, with random steps before the drawing of a task."""
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadPanopticMap'),
        dict(type='RandomCrop', crop_size=(40, 40)),
        dict(type='RandomFlip', prob=0.5),
        dict(type='TaskSampling', **sampling), *behind,
        dict(type='PackDetInputs')
    ]
    dataset, = data_sets(DATASETS.build(dict(config, pipeline=pipeline)))
    return dataset


def test_tasks_see_one_augmentation(tmp_path):
    # random behind the drawing of the task too
    dataset = build(
        write_panoptic_dataset(tmp_path, make_samples(5)),
        dict(type='PhotoMetricDistortion'), dict(type='RandomFlip', prob=0.5))
    flips = set()
    for index in range(5):
        views = task_views(dataset, index, TASKS, seed=index)
        assert tuple(views) == TASKS
        first, *others = views.values()
        flips.add(first['flip'])
        for view in others:
            np.testing.assert_array_equal(view['img'], first['img'])
            assert view['flip'] == first['flip']
        for task, view in views.items():
            assert view['task'] == task
            assert len(view['texts']) == len(view['gt_masks'])
        things = first['gt_masks'].masks[first['gt_bboxes_labels'] < 2]
        np.testing.assert_array_equal(views['instance']['gt_masks'].masks,
                                      things)
        semantic = views['semantic']
        assert len(set(semantic['texts'])) == len(semantic['texts'])
        np.testing.assert_array_equal(
            np.any(semantic['gt_masks'].masks, axis=0),
            np.any(first['gt_masks'].masks, axis=0))
    assert flips == {False, True}


def test_seeds(tmp_path):
    dataset = build(write_panoptic_dataset(tmp_path))
    images = [
        task_views(dataset, 0, ['semantic'], seed)['semantic']['img']
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


def test_the_template_of_the_pipeline_is_used(tmp_path):
    dataset = build(
        write_panoptic_dataset(tmp_path), text_template='{cls}, a {type}')
    view = task_views(dataset, 0, ['semantic'], 0)['semantic']
    assert all(text.endswith(', a stuff') for text in view['texts'])


def test_chances_are_those_of_answerable_tasks(tmp_path):
    probabilities = dict(panoptic=0.5, instance=0, semantic=0.5)
    dataset = build(
        write_panoptic_dataset(tmp_path), probabilities=probabilities)
    assert task_chances(dataset) == dict(panoptic=0.5, semantic=0.5)
    dataset = DATASETS.build(
        dict(
            write_semantic_dataset(tmp_path),
            pipeline=[dict(type='TaskSampling', probabilities=probabilities)]))
    assert task_chances(dataset) == dict(semantic=1)


@pytest.mark.parametrize('kind, tasks', [
    ('panoptic', list(TASKS)),
    ('instance', ['instance']),
    ('semantic', ['semantic']),
])
def test_annotation_that_a_pipeline_does_not_load(tmp_path, kind, tasks):
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(96, 96), keep_ratio=True, backend='pillow'),
        dict(type='PackDetInputs', meta_keys=('img_path', ))
    ]
    dataset = DATASETS.build(
        dict(WRITERS[kind](tmp_path), test_mode=True, pipeline=pipeline))
    assert list(task_chances(dataset)) == tasks
    views = task_views(dataset, 0, tasks, seed=0)
    assert list(views) == tasks
    for view in views.values():
        assert view['img'].shape[:2] == (72, 96)
        assert view['gt_masks'].masks.shape[1:] == (72, 96)
        assert len(view['gt_masks']) > 0
    # that of the data set is as it was
    assert dataset.pipeline.transforms[1].backend == 'pillow'


@TRANSFORMS.register_module()
class DropMaskless(BaseTransform):

    def transform(self, results):
        return results if len(results['gt_masks']) else None


def test_tasks_for_which_an_image_is_dropped_are_left_out(tmp_path):
    stuff = dict(
        name='stuff', id_map=np.full((48, 64), 5), segments=[(5, 30, 0)])
    void = dict(name='void', id_map=np.zeros((48, 64), int), segments=[])
    dataset = build(
        write_panoptic_dataset(tmp_path, [stuff, void]),
        dict(type='DropMaskless'))
    assert set(task_views(dataset, 0, TASKS, 0)) == {'panoptic', 'semantic'}
    assert task_views(dataset, 1, TASKS, 0) == {}
    assert data_sets(dataset) == [dataset]


def test_wrapped_data_sets(tmp_path):
    parts = [
        dict(write(tmp_path / kind), pipeline=[])
        for kind, write in WRITERS.items()
    ]
    mixed = dict(
        type='ConcatDataset',
        datasets=[dict(type='RepeatDataset', times=2, dataset=parts[0])],
        lazy_init=True)
    dataset, = data_sets(DATASETS.build(mixed))
    assert type(dataset).__name__ == 'PanopticDataset'
    assert len(dataset) == 3
    with pytest.raises(ValueError, match='a list does not say what its anno'):
        data_sets([])


@pytest.mark.parametrize('content', [b'', b'no image'])
def test_broken_images_are_named_in_one_line(tmp_path, content):
    dataset = build(write_panoptic_dataset(tmp_path))
    (tmp_path / 'train/image_2.png').write_bytes(content)
    with pytest.raises(
            ValueError, match='image_2.png cannot be read') as error:
        task_views(dataset, 2, TASKS, 0)
    assert '\n' not in str(error.value)
