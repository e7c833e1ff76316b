"""A folder in which the commands of the documentation can be run.

It stands for the root of the repository: ``tools`` and ``projects`` are those
of the repository, ``configs`` is a copy, and data sets, images and a trained
model are where the documentation has them, but very small.
"""
import multiprocessing
import shutil
import sys
from pathlib import Path
from typing import List, Sequence

import cv2
import numpy as np

# Other processes find it by its own name alone.
sys.path.append(str(Path(__file__).resolve().parent))

from documented_process import run_here  # noqa: E402, isort: skip

from tests import helpers  # noqa: E402
from tests.docs.markdown import ROOT  # noqa: E402

CONFIG = 'configs/shapes/oneformer_r18_1xb8-1200_shapes-128x128.py'
CHECKPOINT = 'work_dirs/quickstart/iter_1200.pth'
#: What stands for something in commands.
WORDS = {
    'CONFIG': CONFIG,
    'CHECKPOINT': CHECKPOINT,
    'WORK_DIR': 'work_dirs/quickstart',
    'DIR': 'pictures'
}
_SHORT = [
    'train_cfg.max_iters=2', 'train_dataloader.batch_size=2',
    'train_dataloader.num_workers=0',
    'train_dataloader.persistent_workers=False',
    'default_hooks.logger.interval=1'
]
_SERIAL = [
    'test_dataloader.num_workers=0', 'test_dataloader.persistent_workers=False'
]
#: Settings with which a tool takes seconds.
SETTINGS = {'tools/train.py': _SHORT, 'tools/test.py': _SERIAL}
#: Arguments with which a tool takes seconds.
ARGUMENTS = {
    'tools/dataset_converters/shapes.py': ['--train', '8', '--val', '2'],
    'tools/write_config.py': ['--model', 'small', '--crop-size', '32'],
}


def make(folder: Path) -> Path:
    """Fill a folder with all that is neither made nor trained by a tool."""
    for name in ('tools', 'projects'):
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / 'configs', folder / 'configs')
    (folder / 'classes.txt').write_text('sky\ncar\nroad\ndog\n')
    write_own_data(folder / 'data/mine')
    write_streets(folder / 'data/streets')
    for place in ('photos/a.jpg', 'more/inner/b.jpg', 'image.jpg'):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / place), np.full((90, 120, 3), 90, np.uint8))
    write_video(folder / 'clip.mp4')
    return folder


def write_own_data(folder: Path) -> None:
    """Annotation of all three kinds, as docs/your_data.md has it."""
    folder.mkdir(parents=True)
    for seed, split in enumerate(('train', 'val')):
        samples = helpers.make_samples(4, seed=seed)
        for write in (helpers.write_panoptic_dataset,
                      helpers.write_instance_dataset,
                      helpers.write_semantic_dataset):
            write(folder, samples, split=split)


def write_streets(folder: Path) -> None:
    """Images, and PNGs of 1000 x class + instance, see docs/extending.md."""
    rng = np.random.default_rng(0)
    for split in ('train', 'val'):
        for kind in (split, f'labels_{split}'):
            (folder / kind).mkdir(parents=True)
        for name in 'ab':
            ids = np.kron(
                rng.choice([0, 1000, 2000, 3001, 3002], (4, 6)),
                np.ones((16, 16))).astype(np.uint16)
            cv2.imwrite(str(folder / f'labels_{split}' / f'{name}.png'), ids)
            cv2.imwrite(
                str(folder / split / f'{name}.jpg'),
                rng.integers(0, 256, (*ids.shape, 3)).astype(np.uint8))


def write_video(path: Path) -> None:
    """Two grey frames."""
    writer = cv2.VideoWriter(
        str(path), cv2.VideoWriter_fourcc(*'mp4v'), 10, (96, 64))
    for value in (50, 200):
        writer.write(np.full((64, 96, 3), value, np.uint8))
    writer.release()


def shortened(words: Sequence[str]) -> List[str]:
    """A command on the small data and model, without the interpreter."""
    tool, *arguments = words[1:]
    arguments = [WORDS.get(word, word) for word in arguments]
    if tool in SETTINGS:
        if '--cfg-options' not in arguments:
            arguments.append('--cfg-options')
        arguments += SETTINGS[tool]
    extra = ARGUMENTS.get(tool, [])
    if not set(extra) & set(arguments):
        arguments += extra
    return [tool, *arguments]


def run(folder: Path, words: Sequence[str], code: str = '') -> None:
    """Run a script, or code, in a process that has its libraries.

    Args:
        folder: Where.
        words: The script and its arguments.
        code: What is run in place of a script.
    """
    processes = multiprocessing.get_context('forkserver')
    processes.set_forkserver_preload(
        ['projects.oneformer', 'mmdet.models', 'mmdet.apis'])
    output = folder / 'output.txt'
    process = processes.Process(
        target=run_here, args=(str(folder), list(words), code))
    process.start()
    process.join(timeout=300)
    status = process.exitcode
    process.kill()
    assert status == 0, f'{" ".join(words)}\n{output.read_text()[-3000:]}'


def clear(folder: Path, words: Sequence[str]) -> None:
    """Remove what another command has written where this one writes."""
    for option, word in zip(words, words[1:]):
        if option == '--out':
            path = folder / word
            shutil.rmtree(path) if path.is_dir() else path.unlink(True)
