"""Lets MMDetection run where mmcv came without its compiled operators.

All that OneFormer needs of mmcv exists in PyTorch, too; only the import of the
binary ``mmcv._ext`` stands in the way.
"""
import importlib
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import mmcv
from torch import Tensor

EXTENSION = 'mmcv._ext'

_HOW_TO_GET = (
    'compile them with `pip install --no-cache-dir --no-build-isolation '
    f'--force-reinstall --no-deps onedl-mmcv=={mmcv.__version__}` (needs a '
    'C++ compiler, and nvcc for a GPU; about 20 minutes)')


class MissingOps(ModuleType):
    """Stands for ``mmcv._ext``: has every operator, none of which works.

    It carries a module spec without a loader: MMEngine asks
    `importlib.util.find_spec` for modules, and mmcv's `check_ops_exist` takes
    the missing loader for what it is.

    Args:
        reason (str): Why the binary could not be imported.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(EXTENSION, 'Placeholder for the compiled operators.')
        self.__spec__ = ModuleSpec(EXTENSION, loader=None)
        self.reason = reason

    def __getattr__(self, name: str):
        if name.startswith('__'):  # asked of any module, `__path__` say
            raise AttributeError(f'{EXTENSION} has no {name}')

        def missing(*args, **kwargs):
            raise RuntimeError(
                f"mmcv's operator {name!r} is not there, as its compiled "
                f'operators could not be imported ({self.reason}): '
                f'{_HOW_TO_GET}')

        setattr(self, name, missing)
        return missing

    # Two that compute nothing; reports on the environment print them.
    @staticmethod
    def get_compiler_version() -> str:
        return 'not compiled'

    @staticmethod
    def get_compiling_cuda_version() -> str:
        return 'not compiled'


class PyTorchDeformableAttention:
    """Stands for mmcv's `MultiScaleDeformableAttnFunction` on a GPU."""

    @staticmethod
    def apply(value: Tensor, spatial_shapes: Tensor, level_start_index: Tensor,
              sampling_locations: Tensor, attention_weights: Tensor,
              im2col_step: int) -> Tensor:
        """Sample the levels of ``value`` and sum what was sampled.

        Takes what the compiled function takes; ``level_start_index`` and
        ``im2col_step`` are of no use here.

        Args:
            value: (B, sum of H x W over levels, heads, channels).
            spatial_shapes: Height and width per level, (levels, 2).
            sampling_locations: x and y in [0, 1],
                (B, queries, heads, levels, points, 2).
            attention_weights: (B, queries, heads, levels, points).

        Returns:
            (B, queries, heads x channels), of the dtype of ``value``. Computed
            in the dtype of the locations, which half precision would blur.
        """
        from mmcv.ops.multi_scale_deform_attn import \
            multi_scale_deformable_attn_pytorch
        output = multi_scale_deformable_attn_pytorch(
            value.type_as(sampling_locations),
            spatial_shapes.tolist(),  # one wait for the GPU instead of many
            sampling_locations,
            attention_weights.type_as(sampling_locations))
        return output.type_as(value)


def install_placeholder() -> bool:
    """Make mmcv's operators importable; call it before importing MMDetection.

    A binary that can be imported is left alone. Where it is missing, or fails
    to import (built for another torch, say), a `MissingOps` takes its place,
    and deformable attention runs in PyTorch on every device.

    Returns:
        Whether the placeholder is in place.
    """
    try:
        return isinstance(importlib.import_module(EXTENSION), MissingOps)
    except ImportError as error:
        sys.modules[EXTENSION] = MissingOps(str(error))
    from mmcv.ops import multi_scale_deform_attn
    multi_scale_deform_attn.MultiScaleDeformableAttnFunction = \
        PyTorchDeformableAttention
    return True
