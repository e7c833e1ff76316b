"""What resuming needs: the last complete checkpoint and the random state."""
import random
import re
import zipfile
from pathlib import Path
from typing import Optional, Union

import numpy as np
import torch

#: Checkpoints to resume from; the best and the published ones lack the
#: state of the optimizer.
_RESUMABLE = re.compile(r'(iter|epoch)_\d+\.pth')


def find_checkpoint(work_dir: Union[str, Path]) -> Optional[str]:
    """The last complete checkpoint of a run, or None if there is none.

    It is the one that the file ``last_checkpoint`` names, be it that the
    folder was moved since; when that is missing or cut short, the newest
    complete one in ``work_dir``.
    """
    work_dir = Path(work_dir)
    candidates = sorted((path for path in work_dir.glob('*.pth')
                         if _RESUMABLE.fullmatch(path.name)),
                        key=lambda path: path.stat().st_mtime_ns,
                        reverse=True)
    note = work_dir / 'last_checkpoint'
    if note.is_file():
        named = Path(note.read_text().strip())
        candidates = [named, work_dir / named.name] + candidates
    return next((str(path) for path in candidates if _is_complete(path)), None)


def _is_complete(path: Path) -> bool:
    """Whether a file of `torch.save` has its end, where a zip is indexed."""
    return path.is_file() and zipfile.is_zipfile(path)


def get_random_state() -> dict:
    """The random state of this process, in types that load as weights only.

    Returns:
        dict: ``python``, ``numpy``, ``torch`` and, on a GPU, ``cuda``.
    """
    name, keys, *rest = np.random.get_state()
    state = dict(
        python=random.getstate(),
        numpy=(name, keys.tolist(), *rest),
        torch=torch.get_rng_state())
    if torch.cuda.is_available():
        state['cuda'] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: dict) -> None:
    """Put this process into a state of `get_random_state`."""
    version, keys, gauss = state['python']
    random.setstate((version, tuple(keys), gauss))
    np.random.set_state(tuple(state['numpy']))
    # A checkpoint is loaded onto the GPU; generators take CPU tensors only.
    torch.set_rng_state(state['torch'].cpu())
    if 'cuda' in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'].cpu())
