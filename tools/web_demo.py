"""Serve a page in which a browser asks a model about images.

    python tools/web_demo.py CONFIG CHECKPOINT

It listens on this machine alone unless --host says otherwise. There is no
password: whoever reaches the address can use it.
"""
import argparse
import importlib.util
import os
import signal
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# Before anything of mmdet, which it makes importable without compiled ops.
import projects.oneformer  # noqa: E402, F401, isort: skip

from mmengine.config import DictAction  # noqa: E402

from projects.oneformer import apis  # noqa: E402


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'config', help='config file, or name of a model in model-index.yml')
    parser.add_argument('checkpoint', help='checkpoint file or address')
    parser.add_argument(
        '--host',
        default='127.0.0.1',
        help='address to listen at; 0.0.0.0 is open to the network '
        '(default: 127.0.0.1)')
    parser.add_argument(
        '--port', type=int, default=7860, help='its port (default: 7860)')
    parser.add_argument(
        '--max-upload-mb',
        type=int,
        default=20,
        help='size of the largest file that is taken (default: 20)')
    parser.add_argument(
        '--score-thr',
        type=float,
        default=0.3,
        help='lowest score of a shown instance (default: 0.3)')
    parser.add_argument(
        '--device', help='by default the first GPU, or else the CPU')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override the config, as in model.test_cfg.object_mask_thr=0.5')
    args = parser.parse_args()
    if args.max_upload_mb < 1:
        parser.error(f'--max-upload-mb is {args.max_upload_mb}: it must be at '
                     'least 1')
    if not 0 < args.port < 2**16:
        parser.error(f'--port is {args.port}: it must be in 1..65535')
    return args


def serve(args: argparse.Namespace) -> None:
    """Load the model, then serve the page.

    Raises:
        FileNotFoundError, ValueError: If a file is missing or does not fit.
        ImportError: If Gradio is not installed.
        OSError: If the address cannot be used.
    """
    if importlib.util.find_spec('gradio') is None:
        raise ImportError('the page needs Gradio, which is not installed: '
                          "run pip install '.[web]'")
    cfg = apis.inference_config(args.config, args.cfg_options)
    inferencer = apis.OneFormerInferencer(
        cfg, args.checkpoint, args.device, show_progress=False)
    # Before Gradio is imported: it reports each start to its makers.
    os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'
    from projects.oneformer.web import page
    page.serve(
        inferencer,
        Path(args.config).stem, args.host, args.port, args.max_upload_mb,
        args.score_thr,
        lambda address: print(f'page: {address} (Ctrl-C ends it)', flush=True))


def main() -> None:
    args = parse_args()
    # mmdet's point generator, on PyTorch's account
    warnings.filterwarnings('ignore', message='torch.meshgrid')
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        serve(args)
    except (ImportError, OSError, ValueError) as error:
        print(f'web_demo.py: error: {apis.one_line(error)}', file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        pass


if __name__ == '__main__':
    main()
