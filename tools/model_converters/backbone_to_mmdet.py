"""Convert ImageNet weights of Swin, ConvNeXt or DiNAT for a backbone here.

    python tools/model_converters/backbone_to_mmdet.py CONFIG SRC DST

SRC is a file of the backbone's official code, or a classifier of Hugging Face
(a folder, or its name on the hub). It must have every tensor of the backbone
but the norms of its outputs, in the right shape, and no others but the
classifier's. Training starts from DST with

    backbone=dict(init_cfg=dict(
        type='Pretrained', checkpoint=DST, prefix='backbone.'))

and, for Swin, convert_weights=False.
"""
from pathlib import Path

from converter_cli import make_parser, read_config, run

from projects.oneformer.checkpoints import (backbone_to_mmdet, fingerprint,
                                            read_huggingface, read_pickle,
                                            tensors_of, write_torch)


def main() -> None:
    parser = make_parser(
        __doc__,
        'weights, .pth or .pkl, or model folder',
        'checkpoint to write, .pth',
        has_classes=False)
    args = parser.parse_args()
    cfg = read_config(args)
    meta = dict(converted_from=dict(file=Path(args.src).name))
    if Path(args.src).suffix in ('.pth', '.pkl'):
        source = tensors_of(read_pickle(args.src), args.src, 'model')
        meta['converted_from']['sha256'] = fingerprint(args.src)
    else:
        source = read_huggingface(args.src)[1]
    tensors = backbone_to_mmdet(cfg, source, args.src)
    write_torch(dict(meta=meta, state_dict=tensors), args.dst)
    print(f'{len(tensors)} tensors: {args.dst}')


if __name__ == '__main__':
    run(main)
