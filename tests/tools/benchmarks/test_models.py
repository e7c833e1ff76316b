"""The models of the benchmark have nothing random in them."""
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / 'tools/analysis_tools'))

from benchmarks import models  # noqa: E402
from benchmarks.measure import Workload  # noqa: E402

RANDOM = ('attn_drop', 'drop_path_rate', 'drop_prob', 'dropout', 'ffn_drop')
NAMES = sorted(
    path.stem.partition('_')[2]
    for path in (ROOT / 'configs/_base_/models').glob('oneformer_*.py'))


def rates(config: dict):
    """Yield the rates of what is dropped, by name."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from rates(value)
        elif key in RANDOM:
            yield key, value


@pytest.mark.parametrize('name', NAMES)
def test_nothing_is_dropped(name):
    workload = Workload(model=name, queries=40)
    found = list(rates(models.load_config(workload).model))
    assert found and all(rate == 0 for _, rate in found)
    kept = rates(models.load_config(workload, without_dropout=False).model)
    assert [key for key, _ in found] == [key for key, _ in kept]


def test_published_models_drop_in_training():
    cfg = models.load_config(Workload(), without_dropout=False)
    assert dict(rates(cfg.model))['drop_path_rate'] == 0.3
