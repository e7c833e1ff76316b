"""The tables of published weights name rows that the files fit."""
import re

import pytest
from mmengine.config import Config

from tests.test_zoo import rows_of

FILES = dict(ade20k=10, cityscapes=6, coco=2, mapillary=5)
BACKBONES = dict(
    swin_t='swin-t',
    swin_l='swin-l',
    convnext_l='convnext-l',
    convnext_xl='convnext-xl',
    dinat_l='dinat-l')


@pytest.mark.parametrize('family', FILES)
def test_files_fit_the_rows(root, family):
    text = (root / 'configs' / family / 'README.md').read_text()
    files = re.findall(r'^\| (.+?) \| `(\S+\.pth)` \|', text, re.M)
    assert len(files) == len(set(files)) == FILES[family]
    configs = {row.label: row.config for row in rows_of(family)}
    for label, file in files:
        config = configs[label]
        # 150_16_ or 250_16_: queries and context embeddings
        queries, backbone, data = re.search(
            r'(?:^|_)(\d+)_16_(\w+)_oneformer_([a-z0-9]+)_', file).groups()
        cfg = Config.fromfile(config)
        assert cfg.model.panoptic_head.num_queries == int(queries)
        assert config.name.startswith(f'oneformer_{BACKBONES[backbone]}-')
        assert data == family
        size = re.match(r'(?:coco_pretrain_)?(\d+x\d+)_', file)
        if family == 'ade20k':
            default = '512x512' if backbone == 'swin_t' else '640x640'
            assert config.stem.endswith(size[1] if size else default)
        assert ('coco_pretrain' in file) == ('in22k-coco' in config.name)
        if family == 'mapillary':
            assert ('mapillary_pretrain' in file) == ('three-tasks'
                                                      in config.name)


@pytest.mark.parametrize('family, source', [('ade20k', 'coco'),
                                            ('cityscapes', 'mapillary')])
def test_rows_start_from_files_of_another_table(root, family, source):
    """The comment of a config names its file."""
    text = (root / 'configs' / source / 'README.md').read_text()
    rows = [row for row in rows_of(family) if ', from ' in row.label]
    assert rows
    for row in rows:
        file, = re.findall(r'\b(\w+_16_\w+\.pth)', row.config.read_text())
        assert f'`{file}`' in text


def test_files_that_the_text_links_exist(root):
    text = (root / 'docs/published_weights.md').read_text()
    for link in re.findall(r'\]\((?!http)([^)#\s]+)', text):
        assert (root / 'docs' / link).is_file(), link
    for tool in re.findall(r'python (tools/\S+\.py)', text):
        assert (root / tool).is_file(), tool
    for config in re.findall(r'^ +(configs/\S+\.py)', text, re.M):
        assert (root / config).is_file(), config


def test_initial_weights_are_those_of_the_configs(root):
    text = (root / 'docs/published_weights.md').read_text()
    for path in (root / 'configs/_base_/models').glob('oneformer_*.py'):
        pretrained = re.search(r"pretrained = '\S+/(\S+\.pth)'",
                               path.read_text())
        if pretrained and 'convnext' not in path.name:  # another naming
            assert pretrained[1] in text, path.name
