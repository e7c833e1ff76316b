"""Models as ONNX files and as programs of ``torch.export``."""
from .checking import Agreement, ExportError
from .description import describe, load_model
from .network import SIZE_DIVISOR, ExportNetwork
from .writing import DESCRIPTION, check_exportable, export_model

__all__ = [
    'DESCRIPTION', 'SIZE_DIVISOR', 'Agreement', 'ExportError', 'ExportNetwork',
    'check_exportable', 'describe', 'export_model', 'load_model'
]
