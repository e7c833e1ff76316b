"""What all tests share: the way to the reference data, seeds and threads."""
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope

import projects.oneformer  # noqa: F401, for mmdet imports without its ops

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser):
    parser.addoption(
        '--full', action='store_true', help='also run the tests marked slow')


def pytest_configure():
    torch.set_num_threads(1)


def pytest_collection_modifyitems(config, items):
    if config.getoption('--full'):
        return
    slow = [item for item in items if item.get_closest_marker('slow')]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if item not in slow]


@pytest.fixture(autouse=True)
def seed():
    """Let every test start from the same random state."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def mmdet_scope():
    """Make MMDetection's registries the default scope, as in a run.

    A test that makes a Runner leaves the scope of that.
    """
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


@pytest.fixture(scope='session')
def root() -> Path:
    """The root of the repository."""
    return ROOT


@pytest.fixture(scope='session')
def shared() -> Path:
    """The folder of reference data beside the repository."""
    folder = ROOT.parent / 'shared'
    if not (folder / 'reference').is_dir():
        pytest.skip('the reference data (../shared) are not here')
    return folder
