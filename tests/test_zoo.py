"""Metafiles, READMEs and configs say the same, and what the paper says."""
import re
from pathlib import Path
from typing import Dict, NamedTuple, Tuple

import pytest
from mmengine.config import Config
from modelindex.load_model_index import load as load_index

from projects.oneformer.analysis import coco_complexity, complexity
from projects.oneformer.checkpoints import build_on_meta

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / 'configs'
#: Folder -> data set, images of a step, classes.
FAMILIES = dict(
    ade20k=('ADE20K', 16),
    camvid=('CamVid', 4),
    cityscapes=('Cityscapes', 16),
    coco=('COCO', 16),
    mapillary=('Mapillary Vistas', 16),
    shapes=('shapes', 8))
#: Folders of configs to start from, for which there is nothing to report.
TEMPLATES = ('_base_', 'custom', 'finetune', 'mmseg')

PAPER, REPOSITORY, HERE = 'paper', 'official repository', 'this repository'
SWIN_ADE20K = 'swin-l-p4-w12-384-in22k_8xb2-160k_ade20k-'
DINAT_ADE20K = 'oneformer_dinat-l-k11-384-in22k_8xb2-160k_ade20k-'
CITYSCAPES = 'oneformer_{}_8xb2-90k_cityscapes-512x1024'
SWIN_CITYSCAPES = CITYSCAPES.format('swin-l-p4-w12-384-in22k')
MAPILLARY = 'oneformer_{}_8xb2-300k_mapillary-1024x1024'
#: Whose figures they are, and the figures in the order of the README's columns
#: (COCO: PQ, of things, of stuff, AP, AP of the instance annotation, mIoU).
RESULTS = {
    f'oneformer_{SWIN_ADE20K}640x640': (PAPER, 49.8, 35.9, 57.0, 57.7),
    f'oneformer_{SWIN_ADE20K}896x896': (PAPER, 51.1, 37.6, 57.4, 58.3),
    f'oneformer_{SWIN_ADE20K}1280x1280': (REPOSITORY, 51.4, 37.8, 57.0, 57.7),
    'oneformer_convnext-l-384-in22k_8xb2-160k_ade20k-640x640':
    (PAPER, 50.0, 36.2, 56.6, 57.4),
    'oneformer_convnext-xl-384-in22k_8xb2-160k_ade20k-640x640':
    (PAPER, 50.1, 36.3, 57.4, 58.8),
    f'{DINAT_ADE20K}640x640': (PAPER, 50.5, 36.0, 58.3, 58.4),
    f'{DINAT_ADE20K}896x896': (PAPER, 51.2, 36.8, 58.1, 58.6),
    f'{DINAT_ADE20K}1280x1280': (REPOSITORY, 51.5, 37.1, 58.3, 58.7),
    'oneformer_dinat-l-k11-384-in22k-coco_8xb2-160k_ade20k-1280x1280':
    (REPOSITORY, 53.4, 40.2, 58.4, 58.8),
    f'mask2former-joint_{SWIN_ADE20K}640x640': (PAPER, 48.7, 33.7, 56.2),
    SWIN_CITYSCAPES: (PAPER, 67.2, 45.6, 83.0, 84.4),
    CITYSCAPES.format('convnext-l-384-in22k'): (PAPER, 68.5, 46.5, 83.0, 84.0),
    CITYSCAPES.format('convnext-xl-384-in22k'): (PAPER, 68.4, 46.7, 83.6,
                                                 84.6),
    CITYSCAPES.format('dinat-l-k7-224-in22k'): (PAPER, 67.6, 45.6, 83.1, 84.0),
    CITYSCAPES.format('convnext-l-384-in22k-mapillary'): (REPOSITORY, 70.1,
                                                          48.7, 84.6, 85.2),
    CITYSCAPES.format('convnext-xl-384-in22k-mapillary'): (REPOSITORY, 69.7,
                                                           48.9, 84.5, 85.8),
    f'{SWIN_CITYSCAPES}_no-task-token': (PAPER, 66.5, 43.3, 82.9),
    f'{SWIN_CITYSCAPES}_no-text-context': (PAPER, 62.7, 45.0, 82.8),
    f'{SWIN_CITYSCAPES}_zero-queries': (PAPER, 65.8, 44.5, 83.1),
    f'{SWIN_CITYSCAPES}_query-cls': (PAPER, 66.4, 44.7, 82.6),
    f'{SWIN_CITYSCAPES}_no-contrastive': (PAPER, 58.8, 42.4, 82.5),
    f'{SWIN_CITYSCAPES}_template-cls-type': (PAPER, 65.4, 44.5, 82.8),
    f'{SWIN_CITYSCAPES}_template-cls': (PAPER, 66.6, 44.7, 82.5),
    'oneformer_swin-l-p4-w12-384-in22k_8xb2-lsj-100e_coco-panoptic':
    (PAPER, 57.9, 64.4, 48.0, 49.0, 48.9, 67.4),
    'oneformer_dinat-l-k11-384-in22k_8xb2-lsj-100e_coco-panoptic':
    (PAPER, 58.0, 64.3, 48.4, 49.2, 49.2, 68.1),
    MAPILLARY.format('swin-l-p4-w12-384-in22k'): (REPOSITORY, 46.7, 62.9,
                                                  64.1),
    MAPILLARY.format('convnext-l-384-in22k'): (REPOSITORY, 47.9, 63.2, 63.8),
    MAPILLARY.format('dinat-l-k11-384-in22k'): (REPOSITORY, 47.8, 64.0, 64.9),
    'oneformer_r18_1xb8-1200_shapes-128x128': (HERE, 64.2, 31.5, 85.1),
    'oneformer_efficientnet-lite0_1xb4-1400_camvid-240x180': (HERE, 36.5, 6.7,
                                                              52.4),
}
#: Millions of parameters as the paper and the official repository print them.
PRINTED = {
    'swin-l': '219',
    'convnext-l': '220',
    'convnext-xl': '372',
    'dinat-l': '223',
    'mask2former-joint_swin-l': '216'
}


class Row(NamedTuple):
    """A row of a README: its cells below the names of their columns."""
    config: Path
    label: str
    cells: Dict[str, str]

    @property
    def name(self) -> str:
        return self.config.stem


def rows_of(family: str) -> Tuple[Row, ...]:
    """The rows of all tables of a family's README that name a config."""
    folder, rows, header = CONFIGS / family, [], None
    for line in (folder / 'README.md').read_text().splitlines():
        cells = [cell.strip() for cell in line.strip('|').split('|')]
        if not line.startswith('|'):
            header = None
        elif header is None:
            header = cells
        elif link := re.fullmatch(r'\[(.*)\]\((\S+\.py)\)', cells[0]):
            assert len(cells) == len(header), line
            rows.append(
                Row(folder / link[2], link[1],
                    dict(zip(header[1:], cells[1:]))))
    return tuple(rows)


ROWS = {row.name: row for family in FAMILIES for row in rows_of(family)}


@pytest.fixture(scope='module')
def models():
    """The models of the index by name."""
    index = load_index(str(ROOT / 'model-index.yml'))
    assert index.check(silent=True) == []
    assert [collection.name
            for collection in index.collections] == ['OneFormer']
    names = [model.name for model in index.models]
    assert len(set(names)) == len(names)
    return {model.name: model for model in index.models}


def figures(model) -> Tuple[float, ...]:
    """The figures of a model in the order of the README's columns."""
    return tuple(value for result in model.results or ()
                 for value in result.metrics.values())


def test_every_config_stands_in_one_metafile_and_one_readme(models):
    found = sorted(
        str(path.relative_to(ROOT)) for path in CONFIGS.rglob('*.py')
        if path.relative_to(CONFIGS).parts[0] not in TEMPLATES)
    assert sorted(model.config for model in models.values()) == found
    assert sorted(
        str(row.config.relative_to(ROOT)) for family in FAMILIES
        for row in rows_of(family)) == found
    assert all(model.name == Path(model.config).stem
               for model in models.values())


def test_every_metafile_is_in_the_index():
    text = (ROOT / 'model-index.yml').read_text()
    imported = re.findall(r'^- (configs/\S+)$', text, re.M)
    assert imported == sorted(
        str(path.relative_to(ROOT)) for path in CONFIGS.rglob('metafile.yml'))
    assert len(imported) == len(FAMILIES)


@pytest.mark.parametrize('name', ROWS)
def test_model_is_what_the_metafile_and_the_readme_say(models, name):
    cfg = Config.fromfile(ROWS[name].config)
    family = ROWS[name].config.relative_to(CONFIGS).parts[0]
    meta = models[name].metadata.data
    data, batch = FAMILIES[family]
    processes = int(re.search(r'_(\d)xb', name)[1])
    assert meta['Training Data'] == data
    assert meta['Batch Size'] == batch
    assert processes * cfg.train_dataloader.batch_size == batch
    assert meta['Iterations'] == cfg.train_cfg.max_iters
    assert models[name].in_collection == 'OneFormer'

    # without what only training needs
    number = sum(
        parameter.numel()
        for key, parameter in build_on_meta(cfg.model).named_parameters()
        if '.text_mapper.' not in key and not key.endswith('logit_scale'))
    assert meta['Parameters'] == number
    assert ROWS[name].cells['parameters'] == f'{number / 1e6:.1f}M'
    variant = re.match(
        r'(?:oneformer_)?((?:mask2former-joint_)?\w+-(?:xl|l|t))', name)
    if variant and variant[1] in PRINTED:
        assert f'{number / 1e6:.0f}' == PRINTED[variant[1]]


@pytest.mark.parametrize('name', ROWS)
def test_multiply_adds_agree(models, name):
    count = models[name].metadata.data['FLOPs']
    assert ROWS[name].cells['multiply-adds'] == f'{count / 1e9:.1f}G'


@pytest.mark.slow
@pytest.mark.parametrize('name', [
    row.name for family in FAMILIES for row in rows_of(family)
    if family in ('ade20k', 'cityscapes', 'coco', 'mapillary')
])  # yapf: disable
def test_multiply_adds_are_what_is_counted(models, name):
    """On an image of the size of the crop; COCO: on its sizes in testing."""
    cfg = Config.fromfile(ROWS[name].config)
    if models[name].metadata.data['Training Data'] == 'COCO':
        result = coco_complexity(cfg)
    else:
        crop, = (
            step.crop_size for step in cfg.train_dataloader.dataset.pipeline
            if step.type == 'RandomCrop')
        result = complexity(cfg, crop[::-1])
    assert models[name].metadata.data['FLOPs'] / 1e9 == pytest.approx(
        result.official.total / 1e9, abs=0.051)


@pytest.mark.parametrize('name', ROWS)
def test_results_are_those_of_their_source(models, name):
    source, *expected = RESULTS.get(name, [None])
    cells = list(ROWS[name].cells.items())
    assert [key for key, _ in cells[:2]] == ['parameters', 'multiply-adds']
    assert cells[-1] == ('figures of', source or '')
    shown = [cell for _, cell in cells[2:-1] if cell]
    assert shown == [f'{value:.1f}' for value in expected]
    assert models[name].metadata.data.get('Results From') == source
    assert figures(models[name]) == tuple(expected)


def test_columns_are_the_metrics_of_the_metafile(models):
    """The one order of figures means the same on both sides."""
    meaning = {
        'PQ': ('Panoptic Segmentation', 'PQ'),
        'PQ things': ('Panoptic Segmentation', 'PQ_th'),
        'PQ stuff': ('Panoptic Segmentation', 'PQ_st'),
        'AP': ('Instance Segmentation', 'mask AP'),
        'AP instances':
        ('Instance Segmentation (instance annotation)', 'mask AP'),
        'mIoU': ('Semantic Segmentation', 'mIoU'),
        'mIoU ms+flip': ('Semantic Segmentation', 'mIoU(ms+flip)')
    }
    for name in RESULTS:
        columns = [
            meaning[key] for key, cell in ROWS[name].cells.items()
            if cell and key in meaning
        ]
        metrics = [(result.task, key) for result in models[name].results
                   for key in result.metrics]
        assert metrics == columns, name
        assert all(
            result.dataset.startswith(FAMILIES[family][0])
            for family in [ROWS[name].config.relative_to(CONFIGS).parts[0]]
            for result in models[name].results)


def test_own_results_are_those_of_the_main_readme():
    text = (ROOT / 'README.md').read_text()
    for _, *values in (v for v in RESULTS.values() if v[0] == HERE):
        pq, ap, miou = (f'{value:.1f}' for value in values)
        assert re.search(rf'\*\*PQ {pq}\b[^*]*AP {ap}\b[^*]*mIoU {miou}\b',
                         text)


@pytest.mark.parametrize('family', FAMILIES)
def test_files_that_readmes_link_exist(family):
    text = (CONFIGS / family / 'README.md').read_text()
    for link in re.findall(r'\]\((?!http)([^)#\s]+)', text):
        assert (CONFIGS / family / link).is_file(), link
    for tool in re.findall(r'(tools/\S+\.(?:py|sh))', text):
        assert (ROOT / tool).is_file(), tool


@pytest.mark.parametrize('family',
                         ['ade20k', 'cityscapes', 'coco', 'mapillary'])
def test_readme_says_that_nothing_was_reproduced(family):
    text = (CONFIGS / family / 'README.md').read_text()
    assert '**None of these figures was reproduced here.**' in text
    assert 'none was reproduced' in (CONFIGS / family /
                                     'metafile.yml').read_text()
