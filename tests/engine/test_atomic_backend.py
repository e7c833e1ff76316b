"""Files are complete or unchanged."""
import os

import pytest

from projects.oneformer.engine import AtomicBackend
from projects.oneformer.engine.atomic_backend import UNFINISHED


def test_put_writes_and_leaves_nothing_beside(tmp_path):
    path = tmp_path / 'new' / 'file'
    AtomicBackend().put(b'one', path)
    AtomicBackend().put_text('two', path)
    assert path.read_bytes() == b'two'
    assert os.listdir(path.parent) == ['file']


@pytest.mark.parametrize('step', ['fsync', 'replace'])
def test_failure_keeps_the_old_content(tmp_path, monkeypatch, step):
    path = tmp_path / 'file'
    path.write_bytes(b'old')

    def fail(*args):
        raise OSError('no space left')

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match='no space'):
        AtomicBackend().put(b'new content', path)
    assert path.read_bytes() == b'old'
    assert sorted(os.listdir(tmp_path)) == ['file', 'file' + UNFINISHED]


def test_content_is_on_disk_before_the_renaming(tmp_path, monkeypatch):
    calls = []
    for name in ('fsync', 'replace'):
        real = getattr(os, name)
        monkeypatch.setattr(
            os,
            name,
            lambda *args, name=name, real=real:
            (calls.append(name), real(*args))[1])
    AtomicBackend().put(b'x', tmp_path / 'file')
    assert calls == ['fsync', 'replace', 'fsync']
