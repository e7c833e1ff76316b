"""A local file backend whose files are complete or absent, never partial."""
import os
from pathlib import Path
from typing import Union

from mmengine.fileio import LocalBackend, register_backend

#: What the name of a file that is still being written ends in.
UNFINISHED = '.unfinished'


@register_backend('atomic', force=True)
class AtomicBackend(LocalBackend):
    """Write beside the file and rename, so that a kill leaves the old one.

    Used by name: ``backend_args=dict(backend='atomic')``.
    """

    def put(self, obj: bytes, filepath: Union[str, Path]) -> None:
        """Make ``filepath`` hold ``obj``, or, if this fails, what it held."""
        path = Path(filepath)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(path.name + UNFINISHED)
        with open(unfinished, 'wb') as file:
            file.write(obj)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
        self._sync_folder(path.parent)

    def put_text(self,
                 obj: str,
                 filepath: Union[str, Path],
                 encoding: str = 'utf-8') -> None:
        """As `put`, for a string."""
        self.put(obj.encode(encoding), filepath)

    @staticmethod
    def _sync_folder(folder: Path) -> None:
        """Make the renaming survive a power failure, not only a kill."""
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
