"""What the commands that prepare a data set share.

A command describes its data set as `Split`s. What is to be done for each
image is done in parallel, files appear under their names when they are
whole, and a second run makes only what the first one left out.
"""
import argparse
import ctypes
import os
import signal
import sys
import time
from abc import ABC, abstractmethod
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import (Any, Callable, Dict, Iterator, List, NamedTuple, Optional,
                    Sequence, Set, Tuple, Type)

import cv2
import numpy as np
from image_files import is_whole_png, read_size, write_png
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from projects.oneformer import datasets  # noqa: E402
from projects.oneformer.datasets.checks import some  # noqa: E402

_CHUNK = 8  # images that a process takes at a time
_UNREADABLE = 'images that cannot be converted'
_DIFFERS = 'that are corrupt or not what the annotation gives'


class Made(NamedTuple):
    """What was made of one image.

    Attributes:
        maps: By file, uint8 (H, W) labels or int32 (H, W) segment ids.
        entry: What a JSON says of the image; made of dicts, lists, texts and
            numbers.
    """
    maps: Dict[Path, np.ndarray]
    entry: Any = None


class Outcome(NamedTuple):
    """What became of one image: its entry, or what is wrong.

    Attributes:
        entry: See `Made`; None if the image cannot be converted.
        wrong: Pairs of a problem and what it concerns, a file or a message.
    """
    entry: Any
    wrong: List[Tuple[str, str]]


class Split(ABC):
    """One split of a data set, as it was downloaded.

    An item stands for one image; it has a ``name``.

    Args:
        root (Path): Folder of the data set.
        name (str): One of ``official_counts``.
    """
    #: Where the data set is looked for unless a folder is given.
    default_root: str
    #: Split -> number of images that the data set officially has.
    official_counts: Dict[str, int]
    #: What is prepared without being asked for.
    default_splits = ('train', 'val')

    def __init__(self, root: Path, name: str) -> None:
        self.root = root
        self.name = name
        self.problems: Dict[str, List[str]] = {}

    @abstractmethod
    def find(self) -> List[Any]:
        """List the images that can be converted; note what is missing.

        Raises:
            FileNotFoundError: If this is not the tree of the data set.
            ValueError: If a JSON is wrong.
        """

    @abstractmethod
    def image(self, item: Any) -> Path:
        """The image itself."""

    @abstractmethod
    def outputs(self, item: Any) -> Sequence[Path]:
        """The PNGs that are made of an image."""

    @abstractmethod
    def make(self, item: Any) -> Made:
        """Read and check the annotation of one image and convert it.

        Raises:
            ValueError: If the annotation is corrupt or wrong.
        """

    def unfinished(self, items: List[Any]) -> List[Any]:
        """The items of which something is still to be made."""
        return [
            item for item in items
            if not all(map(is_whole_png, self.outputs(item)))
        ]

    def keep(self, item: Any, entry: Any) -> None:
        """Note that the PNGs of an item are written."""

    def finish(self, items: List[Any]) -> None:
        """Write what speaks of the whole split, after its last PNG."""

    def check_map(self, path: Path, made: np.ndarray, entry: Any) -> bool:
        """Whether the map in a file is the one that is made now.

        Args:
            path: The PNG, which is whole.
            made: The map.
            entry: See `Made`; may be changed to what the file says.

        Raises:
            ValueError: If the file cannot be decoded.
        """
        return np.array_equal(_read_map(path, made.dtype), made)

    def check_all(self, entries: Dict[str, Any]) -> None:
        """Note what is wrong with what speaks of the whole split.

        Args:
            entries: By name of the item, for those that can be converted.
        """

    def note(self, problem: str, names: Sequence[str]) -> None:
        """Remember a problem of some files; nothing if there are none."""
        if names:
            self.problems.setdefault(problem, []).extend(names)

    def folder(self, path: str, content: str) -> Path:
        """A folder below the root that must be there.

        Raises:
            FileNotFoundError: With what is expected there.
        """
        if not (self.root / path).is_dir():
            self._fail(path, content)
        return self.root / path

    def file(self, path: str, content: str) -> Path:
        """As `folder`, for a file."""
        if not (self.root / path).is_file():
            self._fail(path, content)
        return self.root / path

    def _fail(self, path: str, content: str) -> None:
        if not self.root.is_dir():
            raise FileNotFoundError(
                f'{self.root} does not exist: give the folder of the data '
                'set; data/README.md shows its tree')
        place = self.root / path
        archives = sorted({
            archive.name
            for folder in (self.root, place.parent) if folder.is_dir()
            for archive in folder.iterdir()
            if archive.name.endswith(('.zip', '.tar', '.tar.gz', '.tgz'))
        })
        packed = f' (unpack {" and ".join(archives)}?)' if archives else ''
        raise FileNotFoundError(
            f'{place} does not exist, expected {content}{packed}; '
            'data/README.md shows the tree, and --splits leaves a split out')


def list_names(folder: Path, suffix: str) -> Set[str]:
    """Names of the files in a folder that end in ``suffix``, without it."""
    return {
        name[:-len(suffix)]
        for name in os.listdir(folder) if name.endswith(suffix)
    }


def check_size(path: Path, shape: Sequence[int], size: Sequence[int],
               image: Path) -> None:
    """Compare the shape (H, W) of a map with the size of its image.

    Raises:
        ValueError: If they differ.
    """
    if tuple(shape[:2]) != tuple(size):
        raise ValueError(
            f'{path} is {shape[1]} x {shape[0]} pixels, but its image {image} '
            f'is {size[1]} x {size[0]}')


def run(split_class: Type[Split],
        doc: str,
        arguments: Optional[Sequence[str]] = None) -> int:
    """Run the command of a data set.

    Args:
        split_class: The data set.
        doc: The docstring of the command.
        arguments: Of the command line, the process's own by default.

    Returns:
        int: Exit status: 0 if all is well, 1 if files are missing or wrong,
        2 if the folder is not this data set, 130 when stopped.
    """
    args = _parse(split_class, doc, arguments)
    try:
        splits = [split_class(args.root, name) for name in args.splits]
        found = [(split, _find(split)) for split in splits]
        work = _check_split if args.check else _prepare_split
        for split, items in found:
            work(split, items, args.workers)
            _report(split)
        if args.check and any(split.problems for split in splits):
            print(
                f'{_tool()}: put these right, or remove what is wrong, and '
                'run again without --check',
                file=sys.stderr)
    except (OSError, ValueError) as error:
        print(f'{_tool()}: error: {error}', file=sys.stderr)
        return 2
    except BrokenProcessPool:
        print(
            f'{_tool()}: error: a process was killed (too little memory for '
            f'--workers {args.workers}?); the next run goes on from here',
            file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            f'{_tool()}: stopped; the next run goes on from here',
            file=sys.stderr)
        return 130
    return int(any(split.problems for split in splits))


def _parse(split_class: Type[Split], doc: str,
           arguments: Optional[Sequence[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'root',
        nargs='?',
        default=split_class.default_root,
        type=Path,
        help='folder of the data set (default: %(default)s)')
    parser.add_argument(
        '--splits',
        nargs='+',
        choices=list(split_class.official_counts),
        default=split_class.default_splits,
        help=f'default: {" ".join(split_class.default_splits)}')
    parser.add_argument(
        '--workers',
        type=_natural,
        default=len(os.sched_getaffinity(0)),
        help='processes (default: one per processor, here %(default)s)')
    parser.add_argument(
        '--check',
        action='store_true',
        help='write nothing; decode every file, name what is missing or is '
        'not what would be made, and then exit with status 1')
    return parser.parse_args(arguments)


def _natural(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(
            f'{text} is too small: give 1 or more')
    return number


def _find(split: Split) -> List[Any]:
    """The items of a split; says how many there are."""
    items = split.find()
    if not items:
        _report(split)
        raise ValueError(f'{split.root} has no image of the split '
                         f'{split.name} that could be converted')
    official = split.official_counts[split.name]
    said = f'{len(items)} images'
    if len(items) < official:
        said = f'{len(items)} of {official} images, a subset'
    elif len(items) > official:
        said += f', more than the official {official}'
    print(f'{split.name}: {said}')
    return items


def _report(split: Split) -> None:
    for problem, names in split.problems.items():
        print(
            f'{_tool()}: {split.name}: {problem}: {len(names)} '
            f'({some(names)})',
            file=sys.stderr)


def _tool() -> str:
    return Path(sys.argv[0]).name


def _prepare_split(split: Split, items: List[Any], workers: int) -> None:
    """Make what is missing."""
    todo = split.unfinished(items)
    for folder in {p.parent for item in todo for p in split.outputs(item)}:
        folder.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    for item, outcome in _in_parallel(
            partial(_make_item, split), todo, workers, split.name):
        for problem, name in outcome.wrong:
            split.note(problem, [name])
        if not outcome.wrong:
            split.keep(item, outcome.entry)
    split.finish(items)
    finished = len(items) - len(todo)
    if todo:
        _say_speed(split, len(todo), 'made', time.perf_counter() - start)
    if finished:
        print(f'{split.name}: {finished} images needed nothing')


def _check_split(split: Split, items: List[Any], workers: int) -> None:
    """Compare all files with what would be made."""
    start = time.perf_counter()
    entries = {}
    for item, outcome in _in_parallel(
            partial(_check_item, split), items, workers, split.name):
        for problem, name in outcome.wrong:
            split.note(problem, [name])
        if outcome.entry is not None:
            entries[item.name] = outcome.entry
    split.check_all(entries)
    _say_speed(split, len(items), 'checked', time.perf_counter() - start)


def _say_speed(split: Split, number: int, done: str, seconds: float) -> None:
    print(f'{split.name}: {number} images {done} in {seconds:.1f} s, '
          f'{number / seconds:.1f} images/s')


def _make_item(split: Split, item: Any) -> Outcome:
    """Write the PNGs of one image that are not there."""
    try:
        made = split.make(item)
    except (OSError, ValueError) as error:
        return Outcome(None, [(_UNREADABLE, f'{item.name}: {error}')])
    for path, pixels in made.maps.items():
        if not _is_there(path, pixels):
            write_png(path, pixels)
    return Outcome(made.entry, [])


def _is_there(path: Path, pixels: np.ndarray) -> bool:
    """Whether a file holds this map; if not, it may have been cut short, or
    made by another program or from another annotation."""
    if not is_whole_png(path):
        return False
    try:
        return np.array_equal(_read_map(path, pixels.dtype), pixels)
    except (OSError, ValueError):
        return False


def _check_item(split: Split, item: Any) -> Outcome:
    """Compare the PNGs of one image with what would be made."""
    try:
        read_size(split.image(item), decode=True)
        made = split.make(item)
    except (OSError, ValueError) as error:
        return Outcome(None, [(_UNREADABLE, f'{item.name}: {error}')])
    wrong = []
    for path, pixels in made.maps.items():
        if not path.exists():
            wrong.append((f'PNGs missing in {path.parent}', path.name))
        elif not (is_whole_png(path)
                  and _is_right(split, path, pixels, made.entry)):
            wrong.append((f'PNGs in {path.parent} {_DIFFERS}', path.name))
    return Outcome(made.entry, wrong)


def _is_right(split: Split, path: Path, pixels: np.ndarray,
              entry: Any) -> bool:
    try:
        return split.check_map(path, pixels, entry)
    except (OSError, ValueError):  # cannot be decoded
        return False


def _read_map(path: Path, dtype: np.dtype) -> np.ndarray:
    """Read what `write_png` wrote of a map of that type."""
    if dtype == np.int32:
        return datasets.read_id_map(str(path))
    return datasets.read_semantic_map(str(path))


def _in_parallel(function: Callable, items: Sequence[Any], workers: int,
                 label: str) -> Iterator[tuple]:
    """Pairs of an item and what the function makes of it, in order."""
    if not items:
        return
    with ProcessPoolExecutor(
            min(workers, -(-len(items) // _CHUNK)), get_context('fork'),
            _start_process, (function, )) as pool:
        try:
            results = pool.map(_call, items, chunksize=_CHUNK)
            # No bar in a log file.
            bar = tqdm(
                results, label, len(items), disable=None, unit=' images')
            yield from zip(items, bar)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


_function = None  # of this process


def _start_process(function: Callable) -> None:
    # Handed over by the fork, not pickled with every item.
    global _function
    _function = function
    cv2.setNumThreads(0)
    # A stop from the keyboard reaches all processes: one speaks of it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # A killed parent would leave its children waiting for ever.
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _call(item: Any) -> Any:
    return _function(item)
