"""One task per picture, from data samples."""
import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import VISUALIZERS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData, PixelData

from projects.oneformer.encoded_masks import encode_masks
from projects.oneformer.visualization import (TaskVisualizer,
                                              annotated_segments,
                                              draw_panoptic,
                                              predicted_segments)

META = dict(
    classes=('disk', 'box', 'sky', 'ground'),
    palette=[(220, 20, 60), (0, 0, 142), (70, 130, 180), (60, 180, 40)])
NUM_CLASSES = len(META['classes'])
HEIGHT, WIDTH = 90, 120


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(
        0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


@pytest.fixture
def visualizer(request):
    built = VISUALIZERS.build(
        dict(type='TaskVisualizer', name=request.node.name))
    built.dataset_meta = META
    return built


def labels_map():
    labels = np.full((HEIGHT, WIDTH), 2)
    labels[50:] = 3
    labels[30:70, 20:60] = 0
    return labels


def full_sample():
    labels = labels_map()
    encoded = np.where(labels == 0, 1000, labels)
    encoded[:10] = NUM_CLASSES
    masks = np.stack([labels == 0, labels == 3])
    return DetDataSample(
        pred_panoptic_seg=PixelData(
            sem_seg=torch.tensor(encoded[None], dtype=torch.int32)),
        pred_instances=InstanceData(
            masks=torch.tensor(masks),
            bboxes=torch.zeros(2, 4),
            labels=torch.tensor([0, 1]),
            scores=torch.tensor([0.9, 0.2])),
        pred_sem_seg=PixelData(sem_seg=torch.tensor(labels[None])))


def only(sample, field):
    return DetDataSample(**{field: sample.get(field)})


def drawn(visualizer, image, sample, **kwargs):
    visualizer.add_datasample('picture', image, sample, **kwargs)
    return visualizer.get_image()


def test_answers_by_task():
    answers = predicted_segments(full_sample(), NUM_CLASSES)
    assert list(answers) == ['panoptic', 'instance', 'semantic']
    panoptic = answers['panoptic']
    assert (panoptic.map[:10] == -1).all()
    assert panoptic.labels.tolist() == [2, 3, 0]
    assert np.array_equal(panoptic.labels[panoptic.map[10:]],
                          labels_map()[10:])
    assert answers['instance'].labels.tolist() == [0]
    assert np.array_equal(answers['semantic'].labels[answers['semantic'].map],
                          labels_map())
    assert predicted_segments(DetDataSample(), NUM_CLASSES) == {}


def test_low_scores_are_left_out():
    answers = predicted_segments(full_sample(), NUM_CLASSES, score_thr=0.1)
    assert answers['instance'].labels.tolist() == [0, 1]
    answers = predicted_segments(full_sample(), NUM_CLASSES, score_thr=0.95)
    assert answers['instance'].map.shape == (HEIGHT, WIDTH)
    assert (answers['instance'].map == -1).all()


def test_masks_may_be_run_lengths():
    sample, encoded = full_sample(), full_sample()
    masks = encode_masks(sample.pred_instances.masks)
    del encoded.pred_instances.masks
    encoded.pred_instances.masks = masks
    for score_thr in (0.1, 0.5, 0.95):
        expected, found = (
            predicted_segments(some, NUM_CLASSES, score_thr)['instance']
            for some in (sample, encoded))
        assert np.array_equal(found.map, expected.map)
        assert found.labels.tolist() == expected.labels.tolist()


def test_single_answer_has_the_size_of_the_image(visualizer, image):
    picture = drawn(visualizer, image, only(full_sample(),
                                            'pred_panoptic_seg'))
    labels = labels_map()
    labels[:10] = NUM_CLASSES
    expected = draw_panoptic(image, labels,
                             [dict(id=i, label=i) for i in (2, 3, 0)], **META)
    assert np.array_equal(picture, expected)
    assert np.array_equal(picture[:10], image[:10])


def test_answers_stand_side_by_side(visualizer, image):
    one = drawn(visualizer, image, only(full_sample(), 'pred_sem_seg'))
    three = drawn(visualizer, image, full_sample())
    assert one.shape == image.shape
    # three answers, each enlarged to 480 x 360, and the legend below
    assert 3 * 480 < three.shape[1] < 4 * 480 and 360 < three.shape[0] < 480


def test_annotation_from_the_panoptic_png(tmp_path, visualizer, image):
    path = str(tmp_path / 'annotation.png')
    ids = np.where(labels_map() == 0, 70000, labels_map())
    cv2.imwrite(
        path,
        np.stack([ids // 65536, ids // 256 % 256, ids % 256],
                 axis=2).astype(np.uint8))
    sample = only(full_sample(), 'pred_sem_seg')
    sample.set_metainfo(
        dict(
            seg_map_path=path,
            segments_info=[
                dict(id=70000, label=0, iscrowd=0),
                dict(id=3, label=3, iscrowd=0)
            ]))
    found = annotated_segments(sample)
    expected = np.where(labels_map() == 2, -1, labels_map())
    assert np.array_equal(np.append(found.labels, -1)[found.map], expected)
    both = drawn(visualizer, image, sample)
    answer = drawn(visualizer, image, sample, draw_gt=False)
    assert 3 * 480 < both.shape[1] < 4 * 480  # image, annotation, answer
    assert answer.shape == image.shape


def test_annotation_of_training_samples():
    sample = DetDataSample(
        gt_instances=InstanceData(
            labels=torch.tensor([3, 0]),
            masks=BitmapMasks(
                np.stack([labels_map(
                ) == 3, labels_map() == 0]).astype(np.uint8), HEIGHT, WIDTH)))
    found = annotated_segments(sample)
    expected = np.where(labels_map() == 2, -1, labels_map())
    assert np.array_equal(np.append(found.labels, -1)[found.map], expected)
    assert annotated_segments(full_sample()) is None
    assert annotated_segments(DetDataSample(gt_instances=InstanceData())) is \
        None


def test_all_void_and_nothing_found(visualizer, image):
    void = torch.full((1, HEIGHT, WIDTH), NUM_CLASSES, dtype=torch.int32)
    sample = DetDataSample(
        pred_panoptic_seg=PixelData(sem_seg=void),
        pred_instances=InstanceData(
            masks=torch.zeros(0, HEIGHT, WIDTH, dtype=torch.bool),
            labels=torch.zeros(0, dtype=torch.long),
            scores=torch.zeros(0)))
    assert drawn(visualizer, image, sample).shape[1] > 2 * 480
    assert np.array_equal(
        drawn(visualizer, image, only(sample, 'pred_panoptic_seg')), image)
    assert np.array_equal(
        drawn(visualizer, image, only(sample, 'pred_instances')), image)
    assert np.array_equal(drawn(visualizer, image, None), image)


def test_pictures_are_saved_or_handed_to_backends(tmp_path, image):
    backend = dict(type='LocalVisBackend')
    visualizer = TaskVisualizer(vis_backends=[backend], save_dir=str(tmp_path))
    visualizer.dataset_meta = META
    sample = only(full_sample(), 'pred_sem_seg')
    visualizer.add_datasample('one', image, sample, step=3)
    out_file = tmp_path / 'new' / 'two.png'
    visualizer.add_datasample('two', image, sample, out_file=str(out_file))
    expected = visualizer.get_image()
    saved = list(tmp_path.rglob('*.png'))
    assert sorted(path.name for path in saved) == ['one_3.png', 'two.png']
    for path in saved:
        assert np.array_equal(cv2.imread(str(path))[..., ::-1], expected)


def test_drawing_by_hand_still_works(visualizer, image):
    drawn(visualizer, image, full_sample())
    visualizer.set_image(image)
    visualizer.draw_bboxes(torch.tensor([[5., 5., 50., 50.]]))
    assert visualizer.get_image().shape == image.shape


def test_palette_may_be_missing_but_names_may_not(image):
    visualizer = TaskVisualizer()
    sample = only(full_sample(), 'pred_sem_seg')
    with pytest.raises(ValueError, match='dataset_meta'):
        visualizer.add_datasample('picture', image, sample)
    visualizer.dataset_meta = dict(classes=META['classes'], palette='random')
    assert (drawn(visualizer, image, sample) != image).any()
