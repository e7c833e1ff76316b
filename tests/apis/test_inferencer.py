"""The inferencer: what goes in, what comes out, what is refused."""
import json
import warnings

import cv2
import numpy as np
import pycocotools.mask as mask_util
import pytest
import torch
from mmdet.apis import DetInferencer, inference_detector, init_detector

from projects.oneformer.apis import OneFormerInferencer
from projects.oneformer.tasks import TASKS
from projects.oneformer.visualization import TaskVisualizer
from tests.apis.conftest import (DATASET_META, inference_model, make_config,
                                 random_image)

FIELDS = dict(
    panoptic={'panoptic_seg', 'segments_info'},
    instance={'labels', 'categories', 'scores', 'bboxes', 'masks'},
    semantic={'sem_seg'})


def fields(*tasks):
    return set().union(*(FIELDS[task] for task in tasks))


def answer(inferencer, *args, **kwargs):
    return inferencer(*args, **kwargs)['predictions']


@pytest.fixture
def folder(tmp_path):
    """Three images of different sizes, and what is no image."""
    for name, size in (('b.JPG', (40, 60)), ('a.png', (64, 64)), ('c.jpg',
                                                                  (90, 50))):
        cv2.imwrite(str(tmp_path / name), random_image(*size))
    (tmp_path / 'notes.txt').write_text('no image')
    (tmp_path / 'sub').mkdir()
    return tmp_path


class TestTasks:

    @pytest.mark.parametrize('tasks', [
        'semantic', ['instance'], ('panoptic', 'semantic'), TASKS, None
    ])  # yapf: disable
    def test_tasks_of_a_call(self, inferencer, image_file, tasks):
        result, = answer(inferencer, image_file, tasks=tasks)
        asked = [tasks] if isinstance(tasks, str) else tasks or TASKS
        assert set(result) == fields(*asked)

    def test_tasks_of_each_input(self, inferencer, folder):
        results = answer(
            inferencer,
            str(folder),
            batch_size=2,
            tasks=['semantic', ('instance', 'panoptic'), ['semantic']])
        # one name for each of three inputs are the tasks of all of them
        assert [set(result) for result in results] == [
            fields('semantic'),
            fields('panoptic', 'instance'),
            fields('semantic')
        ]

    def test_tasks_are_those_of_the_config(self, model_files, image_file):
        config = make_config()
        config.model.test_cfg.tasks = ['semantic']
        inferencer = OneFormerInferencer(
            config, model_files[1], show_progress=False)
        result, = answer(inferencer, image_file)
        assert set(result) == fields('semantic')

    @pytest.mark.parametrize('tasks, message', [
        ('depth', "'depth' is unknown: choose from panoptic"),
        (['semantic', 'semantic'], 'each once'),
        ([], 'at least one task'),
        ([['semantic'], ['panoptic']], 'for 2 inputs, but there are 1'),
        ([['semantic', 'depth']], "'depth' is unknown"),
    ])
    def test_wrong_tasks(self, inferencer, image_file, tasks, message):
        with pytest.raises(ValueError, match=message):
            inferencer(image_file, tasks=tasks)


class TestInputs:

    def test_a_batch_gives_what_single_images_give(self, inferencer):
        # of one size when resized: padding to a larger one moves borders
        images = [
            random_image(side, side, seed)
            for seed, side in enumerate((64, 40, 90))
        ]
        asked = dict(tasks='semantic', semantic_scores=True)
        together = answer(inferencer, images, batch_size=3, **asked)
        for image, result in zip(images, together):
            alone, = answer(inferencer, image, **asked)
            assert result['sem_seg'].shape == image.shape[:2]
            np.testing.assert_allclose(
                result['sem_seg_scores'], alone['sem_seg_scores'], atol=1e-4)
        first, second = (
            r['sem_seg_scores'].mean((1, 2)) for r in together[:2])
        assert np.abs(first - second).max() > 1e-3

    def test_an_array_gives_what_its_file_gives(self, inferencer, image_file):
        by_path, = answer(inferencer, image_file)
        by_array, = answer(inferencer, cv2.imread(image_file))
        assert set(by_path) == set(by_array) == fields(*TASKS)
        for name, value in by_path.items():
            np.testing.assert_equal(by_array[name], value)

    def test_paths_and_lists(self, inferencer, folder):
        results = answer(
            inferencer, [folder / 'a.png',
                         cv2.imread(str(folder / 'a.png'))],
            tasks='semantic')
        np.testing.assert_equal(results[0]['sem_seg'], results[1]['sem_seg'])

    @pytest.mark.parametrize('size', [(1, 1), (1, 700), (700, 2), (3, 1),
                                      (33, 2000)])
    def test_any_size(self, inferencer, size):
        image = np.full((*size, 3), 90, np.uint8)
        result, = answer(inferencer, image)
        assert result['panoptic_seg'].shape == size
        assert result['sem_seg'].shape == size
        assert all(mask['size'] == list(size) for mask in result['masks'])

    @pytest.mark.parametrize('image, message', [
        (np.zeros((9, 9), np.uint8), r'shape \(9, 9\)'),
        (np.zeros((9, 9, 4), np.uint8), r'shape \(9, 9, 4\)'),
        (np.zeros((0, 9, 3), np.uint8), r'shape \(0, 9, 3\)'),
        (np.zeros((9, 9, 3), np.int64), 'type int64'),
    ])
    def test_wrong_arrays(self, inferencer, image, message):
        with pytest.raises(ValueError, match=message):
            inferencer(image)

    @pytest.mark.parametrize('content', [b'', b'text', b'\x89PNG\r\n\x1a\n'])
    def test_files_that_are_no_images_are_named(self, inferencer, tmp_path,
                                                content):
        path = tmp_path / 'broken.png'
        path.write_bytes(content)
        with pytest.raises(ValueError, match='broken.png is no image'):
            inferencer(str(path))

    def test_missing_file_and_empty_folder(self, inferencer, tmp_path):
        with pytest.raises(FileNotFoundError, match='none.jpg does not exist'):
            inferencer(str(tmp_path / 'none.jpg'))
        with pytest.raises(ValueError, match='has no image'):
            inferencer(str(tmp_path))
        with pytest.raises(TypeError, match='an image is a int'):
            inferencer([3])


class TestResults:

    def test_contents(self, inferencer, image_file):
        result, = answer(inferencer, image_file)
        ids = result['panoptic_seg']
        assert [s['id'] for s in result['segments_info']
                ] == list(range(1,
                                len(result['segments_info']) + 1))
        for segment in result['segments_info']:
            mask = ids == segment['id']
            assert segment['area'] == mask.sum() > 0
            rle = mask_util.encode(np.asfortranarray(mask))
            assert segment['bbox'] == mask_util.toBbox(rle).tolist()
            assert segment['category'] == DATASET_META['classes'][
                segment['label']]
            assert segment['isthing'] == (segment['label'] < 3)
            assert 0 < segment['score'] <= 1
        assert set(np.unique(ids)) <= {
            0, *(s['id'] for s in result['segments_info'])
        }
        assert len(result['labels']) == len(result['masks']) > 3
        json.dumps({k: result[k] for k in fields('instance')})
        json.dumps(result['segments_info'])

    def test_masks_are_those_of_the_data_sample(self, inferencer, image_file):
        result, = answer(inferencer, image_file, tasks='instance')
        sample, = answer(
            inferencer, image_file, tasks='instance', return_datasamples=True)
        masks = np.stack([mask_util.decode(m) for m in result['masks']])
        assert np.array_equal(masks, sample.pred_instances.masks.numpy())

    def test_scores_of_the_classes(self, inferencer, image_file):
        result, = answer(
            inferencer, image_file, tasks='semantic', semantic_scores=True)
        assert result['sem_seg_scores'].shape == (5, 45, 70)
        assert result['sem_seg_scores'].dtype == np.float32
        assert np.array_equal(result['sem_seg_scores'].argmax(0),
                              result['sem_seg'])
        # and the next call does not get them
        result, = answer(inferencer, image_file, tasks='semantic')
        assert set(result) == {'sem_seg'}

    def test_saving(self, inferencer, image_file, tmp_path):
        out = tmp_path / 'out'
        expected, = answer(inferencer, image_file, semantic_scores=True)
        result, = answer(
            inferencer,
            image_file,
            semantic_scores=True,
            out_dir=str(out),
            no_save_pred=False)
        assert json.loads((out / 'preds/image.json').read_text()) == result
        labels = cv2.imread(result['sem_seg_path'], cv2.IMREAD_UNCHANGED)
        assert np.array_equal(labels, expected['sem_seg'])
        ids = cv2.imread(result['panoptic_seg_path']).astype(int)
        assert np.array_equal(ids @ [65536, 256, 1], expected['panoptic_seg'])
        assert np.array_equal(
            np.load(result['sem_seg_scores_path']), expected['sem_seg_scores'])
        assert (out / 'vis/image.png').is_file()

    def test_arrays_are_saved_under_numbers(self, inferencer, tmp_path):
        inferencer(
            [random_image(40, 40)] * 2,
            out_dir=str(tmp_path),
            tasks='semantic',
            no_save_pred=False)
        assert len(list((tmp_path / 'preds').glob('*.json'))) == 2

    def test_nothing_is_overwritten(self, inferencer, folder):
        (folder / 'sub/a.png').write_bytes((folder / 'a.png').read_bytes())
        with pytest.raises(ValueError, match='2 inputs are named a'):
            inferencer([folder / 'a.png', folder / 'sub/a.png'],
                       out_dir=str(folder / 'out'))
        assert not (folder / 'out').exists()

    def test_pictures(self, inferencer, image_file):
        one = inferencer(image_file, tasks='panoptic', return_vis=True)
        assert one['visualization'][0].shape == (45, 70, 3)
        three = inferencer(image_file, return_vis=True)['visualization'][0]
        assert three.shape[1] > 3 * 320


class TestLoading:

    def test_config_from_the_checkpoint(self, model_files, image_file,
                                        inferencer):
        own = OneFormerInferencer(weights=model_files[1], show_progress=False)
        expected, = answer(inferencer, image_file, tasks='semantic')
        result, = answer(own, image_file, tasks='semantic')
        assert np.array_equal(result['sem_seg'], expected['sem_seg'])

    @pytest.mark.parametrize('kind', ['DetLocalVisualizer', 'TaskVisualizer'])
    def test_our_visualizer_without_a_folder(self, model_files, kind):
        config = make_config()
        config.visualizer = dict(
            type=kind, vis_backends=[dict(type='LocalVisBackend')])
        inferencer = OneFormerInferencer(
            config, model_files[1], palette='random')
        assert isinstance(inferencer.visualizer, TaskVisualizer)
        assert not inferencer.visualizer._vis_backends
        assert inferencer.visualizer.dataset_meta['palette'] == 'random'
        assert inferencer.visualizer.dataset_meta['classes'] == DATASET_META[
            'classes']

    def test_random_model_says_so(self):
        config = make_config(num_things_classes=3, num_stuff_classes=2)
        config.test_dataloader.dataset.categories = [
            dict(id=i, name=f'class {i}', isthing=int(i < 3)) for i in range(5)
        ]
        with pytest.warns(UserWarning, match='the model is random'):
            inferencer = OneFormerInferencer(config)
        assert inferencer.model.dataset_meta['classes'][4] == 'class 4'

    def test_model_of_the_index(self, model_files, tmp_path, monkeypatch,
                                image_file):
        monkeypatch.setattr('projects.oneformer.apis.loading.ROOT', tmp_path)
        (tmp_path /
         'model-index.yml').write_text('Import:\n- configs/metafile.yml\n')
        (tmp_path / 'configs').mkdir()
        make_config().dump(str(tmp_path / 'configs/tiny.py'))
        (tmp_path / 'configs/metafile.yml').write_text(
            'Models:\n'
            '- Name: oneformer_tiny\n'
            '  Config: configs/tiny.py\n'
            '- Name: oneformer_tiny_weights\n'
            '  Alias: tiny\n'
            '  Config: configs/tiny.py\n'
            f'  Weights: {model_files[1]}\n')
        for args in (('OneFormer_tiny', model_files[1]), ('tiny', )):
            inferencer = OneFormerInferencer(*args, show_progress=False)
            assert set(answer(inferencer, image_file,
                              tasks='semantic')[0]) == {'sem_seg'}
        with pytest.raises(ValueError, match='no weights are published'):
            OneFormerInferencer('oneformer_tiny')
        with pytest.raises(
                FileNotFoundError,
                match='oneformer_tinny is neither .*similar: oneformer_tiny'):
            OneFormerInferencer('oneformer_tinny')


class TestOtherWays:
    """MMDetection's own functions on the same config and checkpoint."""

    @pytest.fixture
    def config(self):
        config = make_config(num_things_classes=3, num_stuff_classes=2)
        config.visualizer = dict(type='TaskVisualizer')
        config.test_dataloader.dataset.categories = [
            dict(id=DATASET_META['category_ids'][label],
                 name=DATASET_META['classes'][label],
                 isthing=int(label < 3))
            for label in DATASET_META['class_order']
        ]  # yapf: disable
        return config

    def test_init_detector(self, config, model_files, image_file, inferencer):
        model = init_detector(config, model_files[1], device='cpu')
        expected, = answer(inferencer, image_file, return_datasamples=True)
        for image in (image_file, cv2.imread(image_file)):
            sample = inference_detector(model, image)
            for name in ('pred_panoptic_seg', 'pred_sem_seg'):
                assert torch.equal(
                    sample.get(name).sem_seg,
                    expected.get(name).sem_seg)
            assert torch.equal(sample.pred_instances.masks,
                               expected.pred_instances.masks)

    @pytest.mark.parametrize('limit', [None, 0])
    def test_det_inferencer(self, config, model_files, image_file, inferencer,
                            limit, tmp_path):
        """Masks may be a tensor or, beyond the limit, RLEs."""
        config.model.test_cfg.tasks = ['instance', 'semantic']
        if limit is not None:
            config.model.test_cfg.max_mask_values = limit
        plain = DetInferencer(
            config, model_files[1], device='cpu', show_progress=False)
        result, = plain(
            image_file, out_dir=str(tmp_path), no_save_pred=False,
            )['predictions']  # yapf: disable
        expected, = answer(inferencer, image_file, tasks='instance')
        scores = result.pop('scores')
        assert scores == pytest.approx(expected['scores'], rel=1e-5)
        assert {name: expected[name] for name in result} == result
        assert len(result['masks']) > 3
        assert (tmp_path / 'vis/image.png').is_file()
        sample, = plain(image_file, return_datasamples=True)['predictions']
        assert isinstance(sample.pred_instances.masks, list) == (limit == 0)
        assert sample.pred_sem_seg.sem_seg.shape == (1, 45, 70)


def test_checkpoint_that_does_not_fit(model_files, tmp_path):
    config = make_config()
    config.model.panoptic_head.num_queries = 12
    config.model.panoptic_head.text_mapper.num_texts = 9
    with pytest.raises(ValueError) as error:
        OneFormerInferencer(config, model_files[1])
    assert f'{model_files[1]} does not fit the config' in str(error.value)
    assert 'queries: 10 in the file, 12 in the config' in str(error.value)
    torch.save(dict(state_dict={'a.b': torch.zeros(2)}), tmp_path / 'x.pth')
    with pytest.raises(ValueError, match='x.pth does not fit'):
        OneFormerInferencer(
            make_config(num_things_classes=3, num_stuff_classes=2),
            tmp_path / 'x.pth')
    (tmp_path / 'cut.pth').write_bytes(b'PK12345')
    with pytest.raises(ValueError, match='cut.pth cannot be read'):
        OneFormerInferencer(make_config(), tmp_path / 'cut.pth')
    with pytest.raises(FileNotFoundError, match='none.pth does not exist'):
        OneFormerInferencer(make_config(), 'none.pth')


def test_text_mapper_may_be_missing(model_files, tmp_path, image_file,
                                    inferencer):
    content = torch.load(model_files[1], weights_only=False)
    content['state_dict'] = {
        f'module.{name}': value
        for name, value in content['state_dict'].items()
        if 'text_mapper' not in name
    }
    torch.save(content, tmp_path / 'published.pth')
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        published = OneFormerInferencer(
            make_config(), tmp_path / 'published.pth', show_progress=False)
    expected, = answer(inferencer, image_file, tasks='semantic')
    result, = answer(published, image_file, tasks='semantic')
    assert np.array_equal(result['sem_seg'], expected['sem_seg'])


def test_class_counts_that_nothing_gives(model_files, tmp_path):
    torch.save(dict(state_dict={}), tmp_path / 'bare.pth')
    with pytest.raises(FileNotFoundError, match='absent.json does not exist'):
        OneFormerInferencer(make_config(), tmp_path / 'bare.pth')


def test_large_semantic_scores_are_refused(model_files, image_file):
    config = make_config()
    config.model.test_cfg.max_score_values = 5 * 45 * 70 - 1
    inferencer = OneFormerInferencer(
        config, model_files[1], show_progress=False)
    with pytest.raises(ValueError, match='5 classes on 70 x 45 .*15750'):
        inferencer(image_file, tasks='semantic', semantic_scores=True)


def test_config_in_the_model_is_complete(inferencer):
    model = inferencer.model
    assert model.cfg.model.num_things_classes == 3
    assert model.num_classes == inference_model().num_things_classes + 2
