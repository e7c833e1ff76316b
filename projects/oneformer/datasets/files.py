"""Whether the files of a data set are there, looked up folder by folder."""
import os
import os.path as osp
from typing import Dict, Iterable, List, Optional, Sequence, Set

from .checks import some


class FolderListings:
    """The names of the files in folders, each listed once.

    A listing costs a thousandth of asking for each file of a large folder.
    """

    def __init__(self) -> None:
        self._names: Dict[str, Set[str]] = {}

    def names(self, folder: str) -> Set[str]:
        """Names in a folder; none if there is no such folder."""
        if folder not in self._names:
            exists = osp.isdir(folder or '.')
            self._names[folder] = set(
                os.listdir(folder or '.') if exists else ())
        return self._names[folder]

    def check_exist(self, paths: Sequence[str], kind: str, where: str) -> None:
        """Look for files that an annotation names.

        Raises:
            FileNotFoundError: If some do not exist.
        """
        missing = []
        for path in paths:
            folder, name = osp.split(path)
            if name not in self.names(folder):
                missing.append(path)
        if missing:
            raise FileNotFoundError(
                f'{where} names {len(paths)} {kind} files, of which '
                f'{len(missing)} do not exist: {some(missing)}')

    def others(self, folders: Iterable[str], suffix: str,
               known: Iterable[str]) -> List[str]:
        """Files with ``suffix`` in ``folders`` that are not ``known``."""
        known = {osp.normpath(path) for path in known}
        beside = (
            osp.join(folder, name) for folder in sorted(set(folders))
            for name in sorted(self.names(folder)) if name.endswith(suffix))
        return [path for path in beside if osp.normpath(path) not in known]


def check_tree(data_root: Optional[str], ann_file: Optional[str],
               folders: Dict[str, str], contents: Dict[str, str]) -> None:
    """Look for the annotation and the folders of a data set.

    Args:
        data_root (str, optional): Where they should be, for the message.
        ann_file (str, optional): Path of the annotation file, if any.
        folders (dict[str, str]): Paths by key of ``data_prefix``.
        contents (dict[str, str]): What is in each of them.

    Raises:
        FileNotFoundError: If one is missing; the message says what is there
            instead, and how the tree should be.
    """
    expected = {}
    if ann_file:
        expected[ann_file] = 'annotation'
    expected.update({
        folder: f'{contents[key]}, data_prefix {key}'
        for key, folder in folders.items()
    })
    for path, content in expected.items():
        there = osp.isfile(path) if path == ann_file else osp.isdir(path)
        if there:
            continue
        tree = ', '.join(f'{osp.relpath(place, data_root or ".")} ({what})'
                         for place, what in expected.items())
        raise FileNotFoundError(
            f'{path} ({content}) does not exist: {_nearest(path)}. The data '
            f'set needs in {data_root or "this folder"}: {tree}')


def _nearest(path: str) -> str:
    """The last folder on the way to a path that exists, and what it has."""
    folder = osp.dirname(path.rstrip('/'))
    while folder and not osp.isdir(folder):
        folder = osp.dirname(folder)
    names = sorted(os.listdir(folder or '.'))
    return (f'{folder or "this folder"} has '
            f'{some(names, 6) if names else "nothing"}')
