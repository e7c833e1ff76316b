"""Export a model to one ONNX file, or to a program of torch.export.

    python tools/export.py CONFIG CHECKPOINT model.onnx
    python tools/export.py CONFIG CHECKPOINT model.pt2 --shape 640 640

The inputs are an RGB image and the tokens of one or several tasks, the outputs
class and mask logits; docs/deployment.md describes them. Without --shape, the
image may have any multiples of 32 on a side; Swin and DiNAT need --shape.
What was written is compared with the original.
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# Before anything of mmdet, which it makes importable without compiled ops.
import projects.oneformer  # noqa: E402, F401, isort: skip

from mmengine.config import DictAction  # noqa: E402

from projects.oneformer import export  # noqa: E402
from projects.oneformer.apis.loading import inference_config  # noqa: E402


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'config', help='config of the model, or its name in model-index.yml')
    parser.add_argument('checkpoint', help='checkpoint of this project, .pth')
    parser.add_argument('out', help='file to write, .onnx or .pt2')
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        metavar=('HEIGHT', 'WIDTH'),
        help='image size in pixels, multiples of 32 (default: any)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override the config, as in model.panoptic_head.num_queries=100')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = inference_config(args.config, args.cfg_options)
    shape = args.shape and tuple(args.shape)
    model, metainfo = export.load_model(cfg, args.checkpoint)
    export.check_exportable(model, args.out, shape)
    description = export.describe(model, cfg, metainfo, shape)
    agreements = export.export_model(model, description, args.out, shape)
    print('differences from the original, relative to the largest value:')
    for agreement in agreements:
        print(f'  {agreement}')
    size = Path(args.out).stat().st_size / 2**20
    print(f'{args.out}: {size:.1f} MiB, {len(description["classes"])} classes')


if __name__ == '__main__':
    try:
        main()
    except (OSError, ValueError) as error:
        print(f'export.py: error: {error}', file=sys.stderr)
        sys.exit(2)
