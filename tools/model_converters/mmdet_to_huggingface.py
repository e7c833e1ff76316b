"""Convert a checkpoint of this project to OneFormer of Hugging Face.

    python tools/model_converters/mmdet_to_huggingface.py CONFIG SRC DST

DST is a new folder for OneFormerForUniversalSegmentation.from_pretrained.
Its processor (tokens and images) is that of any published OneFormer.

The text mapper is left out, as in all published ones: a model that has it
asks for texts and drops features at random even in evaluation. --training
keeps it, for going on with the training there.
"""
from converter_cli import make_parser, read_config, report, run

from projects.oneformer.checkpoints import (HUGGING_FACE, from_mmdet,
                                            huggingface_config, read_pickle,
                                            split_text_mapper, tensors_of,
                                            write_huggingface)


def main() -> None:
    parser = make_parser(__doc__, 'checkpoint of this project, .pth',
                         'model folder to write')
    parser.add_argument(
        '--training', action='store_true', help='keep the text mapper')
    args = parser.parse_args()
    cfg = read_config(args)
    checkpoint = read_pickle(args.src)
    state, text_mapper = split_text_mapper(
        tensors_of(checkpoint, args.src, 'state_dict'))
    if args.training and not text_mapper:
        raise ValueError(f'--training: {args.src} has no text mapper')
    meta = checkpoint.get('meta') or {}
    tensors, order = from_mmdet(
        cfg, {
            **state,
            **text_mapper
        } if args.training else state,
        HUGGING_FACE,
        args.src,
        things=args.things,
        dataset_meta=meta.get('dataset_meta'))
    config = huggingface_config(cfg, order, args.training)
    write_huggingface(config, tensors, args.dst)
    report(args.dst, tensors, order)
    if text_mapper and not args.training:
        print('the text mapper was left out; --training keeps it')


if __name__ == '__main__':
    run(main)
