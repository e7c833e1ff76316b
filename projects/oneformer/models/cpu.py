"""Which tensors take this project's own way on a CPU."""
import torch
from torch import Tensor


def takes_cpu_path(x: Tensor) -> bool:
    """Whether ``x`` is computed on a CPU in full precision, and not traced.

    Compilation, export and mixed precision take the plain way.
    """
    return (x.device.type == 'cpu'
            and x.dtype in (torch.float32, torch.float64)
            and not torch.is_autocast_enabled('cpu')
            and not torch.compiler.is_compiling())
