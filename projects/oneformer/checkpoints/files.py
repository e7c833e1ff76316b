"""Reading checkpoints without running code in them, and writing whole ones."""
import hashlib
import io
import json
import os
import pickle
import tempfile
import zipfile
from collections import OrderedDict
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import BinaryIO, Iterator, Tuple, Union

import numpy as np
import torch
from torch import Tensor

from .names import Tensors
from .structure import CheckpointError

PathLike = Union[str, Path]


class Unread:
    """Stands for any object of a pickle that is no array, tensor or dict."""

    def __init__(self, *args, **kwargs) -> None:
        pass

    def __setstate__(self, state) -> None:
        pass

    def __setitem__(self, key, value) -> None:
        pass

    def append(self, value) -> None:
        pass

    extend = add = append


def _encode(text: str, encoding: str) -> bytes:
    """Bytes as old pickle protocols write them."""
    return text.encode(encoding)


_numpy = getattr(np, '_core', None) or np.core
#: All that a pickle may call or build.
_ADMITTED = {
    '_codecs.encode': _encode,
    'collections.OrderedDict': OrderedDict,
    'numpy.dtype': np.dtype,
    'numpy.ndarray': np.ndarray,
    'torch._utils._rebuild_parameter': torch._utils._rebuild_parameter,
    'torch._utils._rebuild_tensor_v2': torch._utils._rebuild_tensor_v2,
    'torch.storage._load_from_bytes': lambda data: _load(io.BytesIO(data)),
}
for _core in ('numpy.core', 'numpy._core'):
    _ADMITTED.update({
        f'{_core}.multiarray._reconstruct':
        _numpy.multiarray._reconstruct,
        f'{_core}.multiarray.scalar':
        _numpy.multiarray.scalar,
        f'{_core}.numeric._frombuffer':
        _numpy.numeric._frombuffer,
    })


class _Unpickler(pickle.Unpickler):
    """Builds arrays, tensors and containers, and nothing else.

    The rest of a checkpoint, of optimisers and logs, becomes `Unread`.
    """

    def find_class(self, module: str, name: str):
        return _ADMITTED.get(f'{module}.{name}', Unread)


def _load(file: Union[BinaryIO, PathLike]):
    """`torch.load` with `_Unpickler`."""
    module = ModuleType('restricted_pickle')
    module.Unpickler = _Unpickler
    module.load = lambda file, **kwargs: _Unpickler(file, **kwargs).load()
    return torch.load(
        file, map_location='cpu', pickle_module=module, weights_only=False)


def read_pickle(path: PathLike):
    """Content of a file of `torch.save` or of a pickle of arrays.

    No code of the file is run: what is no array, tensor or plain container
    is left out.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If it is cut short or something else.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'checkpoint {path} does not exist')
    try:
        if path.suffix == '.pkl' and not zipfile.is_zipfile(path):
            with open(path, 'rb') as file:
                return _Unpickler(file, encoding='latin1').load()
        return _load(path)
    except (AttributeError, EOFError, IndexError, KeyError, OSError,
            RuntimeError, TypeError, UnicodeDecodeError, ValueError,
            pickle.UnpicklingError) as error:
        reason = str(error).partition('\n')[0] or type(error).__name__
        raise CheckpointError(f'{path} cannot be read; it is cut short or no '
                              f'checkpoint ({reason})') from error


def tensors_of(content, path: PathLike, entry: str) -> Tensors:
    """The tensors of a checkpoint, from an entry of it or on their own.

    Args:
        content: What `read_pickle` returns.
        path (str or Path): Named in errors.
        entry (str): The entry that holds them.

    Raises:
        CheckpointError: If there are none, or something else among them.
    """
    if isinstance(content, dict) and isinstance(content.get(entry), dict):
        content = content[entry]
    if not isinstance(content, dict) or not content:
        raise CheckpointError(f'{path} holds no tensors: expected an entry '
                              f'{entry!r} of names and tensors')
    tensors = {
        name:
        torch.from_numpy(value) if isinstance(value, np.ndarray) else value
        for name, value in content.items()
    }
    other = [
        str(name) for name, value in tensors.items()
        if not isinstance(value, Tensor)
    ]
    if other:
        raise CheckpointError(
            f'{path} holds no weights under {", ".join(other[:5])}: expected '
            f'an entry {entry!r} of names and tensors')
    return tensors


def read_huggingface(folder: PathLike) -> Tuple[dict, Tensors]:
    """Config and tensors of a model of Hugging Face.

    Args:
        folder (str or Path): A folder with ``config.json`` and weights
            (``.safetensors`` or ``.bin``, in one file or several), or the
            name of a model on the hub.

    Raises:
        FileNotFoundError: If the folder or one of the files is missing.
        CheckpointError: If a file cannot be read.
    """
    folder = _local_folder(folder)
    path = folder / 'config.json'
    if not path.is_file():
        raise FileNotFoundError(f'{folder} has no config.json: it is no model '
                                'folder of Hugging Face')
    try:
        config = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise CheckpointError(f'{path} is no JSON: {error}') from error
    tensors: Tensors = {}
    for file in _weight_files(folder):
        tensors.update(
            _read_safetensors(file) if file.suffix ==
            '.safetensors' else tensors_of(read_pickle(file), file, 'model'))
    return config, tensors


def _local_folder(name: PathLike) -> Path:
    """A folder, or a model of the hub brought into one."""
    if Path(name).is_dir():
        return Path(name)
    if str(name).count('/') != 1 or str(name).startswith(('/', '.')):
        raise FileNotFoundError(f'model folder {name} does not exist')
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise FileNotFoundError(
            f'model folder {name} does not exist, and huggingface_hub, which '
            'could fetch a model of that name, is not installed') from None
    return Path(
        snapshot_download(
            str(name), allow_patterns=['*.json', '*.safetensors', '*.bin']))


def _weight_files(folder: Path) -> Iterator[Path]:
    """The weight files of a model folder; safetensors are preferred."""
    for name in ('model.safetensors', 'pytorch_model.bin'):
        index = folder / f'{name}.index.json'
        if (folder / name).is_file():
            return iter([folder / name])
        if index.is_file():
            parts = set(json.loads(index.read_text())['weight_map'].values())
            return (folder / part for part in sorted(parts))
    raise FileNotFoundError(
        f'{folder} has neither model.safetensors nor pytorch_model.bin')


def _read_safetensors(path: Path) -> Tensors:
    load_file, _ = _safetensors()
    if not path.is_file():
        raise FileNotFoundError(f'weight file {path} does not exist')
    try:
        return load_file(path)
    except Exception as error:  # its errors share no public base
        raise CheckpointError(f'{path} cannot be read; it is cut short or no '
                              f'safetensors file ({error})') from error


def _safetensors() -> tuple:
    try:
        from safetensors.torch import load_file, save_file
    except ImportError:
        raise CheckpointError('files of Hugging Face need the package '
                              'safetensors: pip install safetensors') from None
    return load_file, save_file


@contextmanager
def complete_or_absent(path: PathLike) -> Iterator[Path]:
    """A path to write to that becomes ``path`` when all went well.

    What ``path`` held before stays until then. It may be a file or a folder;
    a folder must not exist yet, or be empty.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
            prefix=f'.{path.name}.', dir=path.parent) as folder:
        unfinished = Path(folder) / path.name
        yield unfinished
        os.replace(unfinished, path)


def write_torch(content: dict, path: PathLike) -> None:
    """`torch.save`; or a pickle of arrays where the name ends in ``.pkl``."""
    with complete_or_absent(path) as unfinished:
        if unfinished.suffix != '.pkl':
            torch.save(content, unfinished)
            return
        with open(unfinished, 'wb') as file:
            pickle.dump(_arrays(content), file, protocol=4)


def _arrays(content):
    """``content`` with arrays for tensors."""
    if isinstance(content, Tensor):
        return content.numpy()
    if isinstance(content, dict):
        return {key: _arrays(value) for key, value in content.items()}
    return content


def write_huggingface(config: dict, tensors: Tensors,
                      folder: PathLike) -> None:
    """Write a model folder that ``from_pretrained`` of transformers loads.

    Raises:
        FileExistsError: If there is a folder of that name with files in it.
    """
    folder = Path(folder)
    if folder.is_file() or folder.is_dir() and any(folder.iterdir()):
        raise FileExistsError(f'{folder} exists: choose another folder')
    _, save_file = _safetensors()
    with complete_or_absent(folder) as unfinished:
        unfinished.mkdir()
        text = json.dumps(config, indent=2, sort_keys=True) + '\n'
        (unfinished / 'config.json').write_text(text)
        save_file(
            {
                name: tensor.contiguous()
                for name, tensor in tensors.items()
            },
            unfinished / 'model.safetensors',
            metadata=dict(format='pt'))


def fingerprint(path: PathLike) -> str:
    """SHA-256 of a file, or of the weight files of a folder."""
    path = Path(path)
    digest = hashlib.sha256()
    for file in _weight_files(path) if path.is_dir() else [path]:
        with open(file, 'rb') as stream:
            while chunk := stream.read(2**20):
                digest.update(chunk)
    return digest.hexdigest()
