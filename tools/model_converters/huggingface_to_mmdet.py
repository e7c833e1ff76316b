"""Convert a OneFormer of Hugging Face to this project.

    python tools/model_converters/huggingface_to_mmdet.py CONFIG SRC DST

SRC is a folder with config.json and weights (.safetensors or .bin), or the
name of a model on the hub. The config.json must describe the model of CONFIG,
and a tensor that is missing, left over or of another shape ends the
conversion with a list of all of them.
"""
from pathlib import Path

from converter_cli import make_parser, read_config, report, run

from projects.oneformer.checkpoints import (HUGGING_FACE, check_config,
                                            class_names, fingerprint,
                                            read_huggingface, to_mmdet,
                                            write_torch)


def main() -> None:
    parser = make_parser(__doc__,
                         'model folder, or name of a model on the hub',
                         'checkpoint to write, .pth')
    args = parser.parse_args()
    cfg = read_config(args)
    config, source = read_huggingface(args.src)
    check_config(config, cfg, args.src)
    tensors, order = to_mmdet(
        cfg,
        source,
        HUGGING_FACE,
        args.src,
        things=args.things,
        names=class_names(config))
    origin = dict(naming=HUGGING_FACE, file=Path(args.src).name)
    if Path(args.src).is_dir():
        origin['sha256'] = fingerprint(args.src)
    meta = dict(converted_from=origin, dataset_meta=order.dataset_meta)
    write_torch(dict(meta=meta, state_dict=tensors), args.dst)
    report(args.dst, tensors, order)


if __name__ == '__main__':
    run(main)
