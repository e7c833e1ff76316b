"""Convert a checkpoint of the official OneFormer to this project.

    python tools/model_converters/official_to_mmdet.py CONFIG SRC DST

Nothing is guessed: a tensor that is missing, left over or of another shape
than the config asks for ends the conversion with a list of all of them.
"""
from pathlib import Path

from converter_cli import make_parser, read_config, report, run

from projects.oneformer.checkpoints import (OFFICIAL, fingerprint, read_pickle,
                                            tensors_of, to_mmdet, write_torch)


def main() -> None:
    parser = make_parser(__doc__, 'official checkpoint, .pth or .pkl',
                         'checkpoint to write, .pth')
    args = parser.parse_args()
    cfg = read_config(args)
    source = tensors_of(read_pickle(args.src), args.src, 'model')
    tensors, order = to_mmdet(
        cfg, source, OFFICIAL, args.src, things=args.things)
    origin = dict(
        naming=OFFICIAL,
        file=Path(args.src).name,
        sha256=fingerprint(args.src))
    meta = dict(converted_from=origin, dataset_meta=order.dataset_meta)
    write_torch(dict(meta=meta, state_dict=tensors), args.dst)
    report(args.dst, tensors, order)


if __name__ == '__main__':
    run(main)
