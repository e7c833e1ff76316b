"""Make a small file for inference of a checkpoint.

    python tools/model_converters/publish_model.py SRC.pth DST.pth

What only training needs is left out: text mapper, optimizer, schedules, logs.
What the checkpoint says of its config and its classes stays. The first eight
digits of the SHA-256 of the file are added to its name, as OpenMMLab does:
DST-1a2b3c4d.pth.
"""
import argparse
import os
import tempfile
from pathlib import Path

import torch
from converter_cli import run

from projects.oneformer.checkpoints import (fingerprint, read_pickle,
                                            split_text_mapper, tensors_of)
from projects.oneformer.checkpoints.structure import TEMPERATURE

#: What is kept of the entry ``meta``.
META = ('cfg', 'converted_from', 'dataset_meta', 'epoch', 'iter',
        'mmengine_version')


def stripped(checkpoint: dict, source: str) -> dict:
    """A checkpoint with the tensors and facts that inference needs.

    Raises:
        CheckpointError: If it holds no tensors.
    """
    state, _ = split_text_mapper(tensors_of(checkpoint, source, 'state_dict'))
    meta = checkpoint.get('meta') or {}
    return dict(
        meta={name: meta[name]
              for name in META if name in meta},
        # a copy, as a view would bring all of its memory along
        state_dict={
            name: tensor.clone()
            for name, tensor in state.items()
            if not name.startswith(TEMPERATURE)
        })


def write_with_hash(checkpoint: dict, path: Path) -> Path:
    """Write to a path with the hash of the file in its name; return that."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
            prefix=f'.{path.name}.', dir=path.parent) as folder:
        unfinished = Path(folder) / path.name
        torch.save(checkpoint, unfinished)
        digits = fingerprint(unfinished)[:8]
        path = path.with_name(f'{path.stem}-{digits}{path.suffix}')
        os.replace(unfinished, path)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('src', help='checkpoint of this project, .pth')
    parser.add_argument('dst', type=Path, help='checkpoint to write, .pth')
    args = parser.parse_args()
    if args.dst.suffix != '.pth':
        raise ValueError(f'{args.dst} must end in .pth')
    published = stripped(read_pickle(args.src), args.src)
    path = write_with_hash(published, args.dst)
    before, after = (
        os.path.getsize(file) / 2**20 for file in (args.src, path))
    print(f'{path}: {after:.1f} MiB, {args.src} had {before:.1f} MiB')


if __name__ == '__main__':
    run(main)
