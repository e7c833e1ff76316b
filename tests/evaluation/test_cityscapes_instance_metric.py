"""Cityscapes' mask AP, against cityscapesscripts reading files."""
import sys
from copy import copy

import numpy as np
import pytest
import torch
from PIL import Image

from projects.oneformer.datasets import CATEGORIES, panoptic_metainfo
from projects.oneformer.encoded_masks import encode_masks
from projects.oneformer.evaluation import CityscapesInstanceMetric

# Decoding with pycocotools, on NumPy 2.
pytestmark = pytest.mark.filterwarnings(
    'ignore:__array__ implementation:DeprecationWarning')

META = panoptic_metainfo(CATEGORIES['cityscapes'], 'cityscapes')
SHAPE = (96, 128)
#: Things, a group of each, what is ignored, and stuff.
LABELS = [24, 25, 26, 27, 28, 31, 32, 33, 0, 3, 29, 30, 7, 8, 23]


@pytest.fixture
def scripts():
    return pytest.importorskip(
        'cityscapesscripts.evaluation.evalInstanceLevelSemanticLabeling')


def make_ids(rng):
    """Instance ids of rectangles, some below and some above 100 pixels."""
    ids = np.zeros(SHAPE, np.uint16)
    for _ in range(40):
        label = int(rng.choice(LABELS))
        if label >= 24 and rng.random() < 0.85:
            label = 1000 * label + int(rng.integers(0, 4))
        top, left = (int(rng.integers(0, size - 4)) for size in SHAPE)
        height, width = rng.integers(4, 40, 2).tolist()
        ids[top:top + height, left:left + width] = label
    return ids


def predict(rng, ids):
    """Shifted instances of the annotation and others, with equal scores."""
    masks, labels = [np.zeros(SHAPE, bool)], [0]
    for number in np.unique(ids).tolist():
        label = number if number < 1000 else number // 1000
        if label in META['category_ids'][:8] or rng.random() < 0.5:
            masks.append(np.roll(ids == number, rng.integers(-2, 3), 1))
            known = label in META['category_ids'][:8] and rng.random() < 0.9
            labels.append(META['category_ids'].
                          index(label) if known else int(rng.integers(8)))
    return dict(
        masks=torch.tensor(np.stack(masks)),
        labels=torch.tensor(labels),
        scores=torch.tensor(rng.choice([0.2, 0.5, 0.8, 1.0], len(masks))),
        bboxes=torch.zeros(len(masks), 4))


@pytest.fixture
def samples(tmp_path):
    """Eight samples with their annotation in Cityscapes' tree."""
    rng = np.random.default_rng(1)
    samples = []
    for number in range(8):
        name = f'val/ulm/ulm_{number:06}_000019'
        path = tmp_path / f'gtFine/{name}_gtFine_instanceIds.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        ids = make_ids(rng)
        Image.fromarray(ids).save(path)
        image = tmp_path / f'leftImg8bit/{name}_leftImg8bit.png'
        samples.append(
            dict(
                img_path=str(image),
                ori_shape=SHAPE,
                truth_path=str(path),
                pred_instances=predict(rng, ids)))
    return samples


def evaluate(samples, **kwargs):
    metric = CityscapesInstanceMetric(**kwargs)
    metric.dataset_meta = META
    metric.process(None, samples)
    return metric.evaluate(len(samples))


def evaluate_files(scripts, samples, folder):
    """Averages of cityscapesscripts, which finds masks in files."""
    for index, sample in enumerate(samples):
        prediction, lines = sample['pred_instances'], []
        for number, mask in enumerate(prediction['masks'].numpy()):
            name = f'{index}_{number}.png'
            Image.fromarray(mask.astype(np.uint8) * 255).save(folder / name)
            label = META['category_ids'][prediction['labels'][number]]
            lines.append(f'{name} {label} {prediction["scores"][number]}')
        (folder / f'{index}.txt').write_text('\n'.join(lines))
    settings = copy(scripts.args)
    settings.predictionPath = str(folder)
    settings.gtInstancesFile = str(folder / 'gtInstances.json')
    settings.JSONOutput, settings.quiet = False, True
    return scripts.evaluateImgLists(
        [str(folder / f'{index}.txt') for index in range(len(samples))],
        [sample['truth_path'] for sample in samples], settings)['averages']


def test_equals_cityscapesscripts(scripts, samples, tmp_path, monkeypatch,
                                  log_lines):
    monkeypatch.chdir(tmp_path)  # it leaves its matches there
    monkeypatch.setattr(np, 'in1d', np.isin, raising=False)
    expected = evaluate_files(scripts, samples, tmp_path)
    result = evaluate(samples, classwise=True)
    assert 0.05 < expected['allAp'] < expected['allAp50%'] < 1
    assert result == pytest.approx({
        'cityscapes/AP':
        100 * expected['allAp'],
        'cityscapes/AP50':
        100 * expected['allAp50%']
    })
    rows = [line.split() for line in log_lines[-1].splitlines()]
    person = expected['classes']['person']
    assert ['|', 'person', '|', f'{100 * person["ap"]:.2f}',
            '|'] in [row[:5] for row in rows]


def test_encoded_masks_count_alike(scripts, samples):
    expected = evaluate(samples)
    for sample in samples:
        prediction = sample['pred_instances']
        prediction['masks'] = encode_masks(prediction['masks'])
    assert evaluate(samples) == expected


def test_no_prediction_and_nothing_to_find(scripts, samples):
    nothing = dict(
        samples[0]['pred_instances'],
        masks=torch.zeros(0, *SHAPE, dtype=torch.bool),
        labels=torch.zeros(0),
        scores=torch.zeros(0))
    result = evaluate([dict(samples[0], pred_instances=nothing)])
    assert set(result.values()) == {0}
    Image.fromarray(np.full(SHAPE, 7,
                            np.uint16)).save(samples[0]['truth_path'])
    result = evaluate([dict(samples[0], pred_instances=nothing)])
    assert all(map(np.isnan, result.values()))


def test_bad_input_is_named(scripts, samples):
    with pytest.raises(ValueError, match='instanceIds.png is 128 x 96 .* 4 x'):
        evaluate([dict(samples[0], ori_shape=(5, 4))])
    missing = samples[0]['img_path'].replace('000000', '000099')
    with pytest.raises(
            FileNotFoundError,
            match='gtFine/val/ulm/ulm_000099_000019_gtFine_instanceIds.png'):
        evaluate([dict(samples[0], img_path=missing)])
    metric = CityscapesInstanceMetric()
    with pytest.raises(ValueError, match="Cityscapes, which 'cat' is not"):
        metric.dataset_meta = dict(thing_classes=('car', 'cat'))


def test_the_package_is_asked_for_when_it_is_needed(monkeypatch):
    monkeypatch.setitem(sys.modules, 'cityscapesscripts.evaluation', None)
    metric = CityscapesInstanceMetric()
    with pytest.raises(ImportError, match='pip install .*cityscapesscripts'):
        metric.dataset_meta = META
