"""The checkpoint to resume from, and the random state."""
import random

import numpy as np
import pytest
import torch

from projects.oneformer.engine import (find_checkpoint, get_random_state,
                                       set_random_state)


def save(path, **kwargs):
    torch.save(dict(weight=torch.zeros(100)), path)
    return str(path)


def truncate(path):
    content = path.read_bytes()
    path.write_bytes(content[:len(content) // 2])


def test_no_checkpoint(tmp_path):
    assert find_checkpoint(tmp_path) is None
    assert find_checkpoint(tmp_path / 'absent') is None


def test_the_named_one_comes_first(tmp_path):
    named = save(tmp_path / 'iter_2.pth')
    save(tmp_path / 'iter_4.pth')
    (tmp_path / 'last_checkpoint').write_text(named)
    assert find_checkpoint(tmp_path) == named


def test_the_folder_was_moved(tmp_path):
    moved = save(tmp_path / 'iter_2.pth')
    save(tmp_path / 'iter_4.pth')
    (tmp_path / 'last_checkpoint').write_text('/old/place/iter_2.pth')
    assert find_checkpoint(tmp_path) == moved


@pytest.mark.parametrize('note', ['', 'iter_6.pth', None])
def test_newest_complete_one_when_the_note_is_no_use(tmp_path, note):
    save(tmp_path / 'iter_8.pth')
    newest = save(tmp_path / 'iter_4.pth')
    save(tmp_path / 'best_mIoU_iter_4.pth')
    save(tmp_path / 'iter_4-0123abcd.pth')
    save(tmp_path / 'iter_6.pth')
    truncate(tmp_path / 'iter_6.pth')
    (tmp_path / 'iter_7.pth').touch()
    if note is not None:
        (tmp_path / 'last_checkpoint').write_text(note)
    assert find_checkpoint(tmp_path) == newest


def draw():
    return random.random(), np.random.rand(), torch.rand(1).item()


def test_random_state_survives_a_safe_load(tmp_path):
    draw()
    torch.save(get_random_state(), tmp_path / 'state.pth')
    first = draw()
    assert draw() != first
    state = torch.load(tmp_path / 'state.pth', weights_only=True)
    set_random_state(state)
    assert draw() == first
