"""Convert a checkpoint of this project to the official OneFormer.

    python tools/model_converters/mmdet_to_official.py CONFIG SRC DST

DST is loaded there as MODEL.WEIGHTS.
"""
from converter_cli import make_parser, read_config, report, run

from projects.oneformer.checkpoints import (OFFICIAL, from_mmdet, read_pickle,
                                            tensors_of, write_torch)


def main() -> None:
    parser = make_parser(__doc__, 'checkpoint of this project, .pth',
                         'checkpoint to write, .pth or .pkl')
    args = parser.parse_args()
    cfg = read_config(args)
    checkpoint = read_pickle(args.src)
    state = tensors_of(checkpoint, args.src, 'state_dict')
    meta = checkpoint.get('meta') or {}
    tensors, order = from_mmdet(
        cfg,
        state,
        OFFICIAL,
        args.src,
        things=args.things,
        dataset_meta=meta.get('dataset_meta'))
    write_torch(dict(model=tensors, __author__='oneformer-mm'), args.dst)
    report(args.dst, tensors, order)


if __name__ == '__main__':
    run(main)
