"""Tracing a model, and writing it as ONNX or as a ``torch.export`` program."""
import contextlib
import importlib
import json
import logging
import warnings
from pathlib import Path
from typing import Iterator, List, Optional, Tuple, Union

import torch
from torch.export import Dim, ExportedProgram

from ..checkpoints.files import complete_or_absent
from ..models import OneFormer
from ..models.text_mapper import CONTEXT_LENGTH
from .checking import (Agreement, ExportError, compare, onnx_runtime,
                       torch_runtime)
from .network import SIZE_DIVISOR, ExportNetwork

#: What a file ends in, for ONNX and for ``torch.export.load``.
ONNX, PROGRAM = '.onnx', '.pt2'
#: Under this name a file keeps what `describe` gives, as JSON.
DESCRIPTION = 'oneformer'
#: The inputs and outputs of an ONNX file, and their shapes by name.
INPUTS = dict(image=(1, 3, 'height', 'width'), task_tokens=('tasks', None))
OUTPUTS = dict(
    class_logits=('tasks', None, None),
    mask_logits=('tasks', None, 'height / 4', 'width / 4'))
#: Of the ONNX operators, the first version with all that is needed.
OPSET = 18
#: Height and width for tracing where any will do, and others for comparing.
ANY_SIZE = (3 * SIZE_DIVISOR, 4 * SIZE_DIVISOR)
OTHER_SIZE = (5 * SIZE_DIVISOR, 2 * SIZE_DIVISOR)
#: Backbones whose windows do not depend on the image size.
_SIZELESS = ('ResNet', 'ConvNeXt')


def export_model(model: OneFormer,
                 description: dict,
                 path: Union[str, Path],
                 shape: Optional[Tuple[int, int]] = None) -> List[Agreement]:
    """Write a model to a file and compare that with the original.

    Args:
        model (OneFormer): In evaluation mode, on the CPU.
        description (dict): From `describe`, to be kept in the file.
        path (str or Path): Ends in `ONNX` or `PROGRAM`. Appears when the
            comparison has passed.
        shape (tuple[int, int], optional): Height and width of the image; by
            default any multiples of `SIZE_DIVISOR`.

    Returns:
        list[Agreement]: Of each size that was compared.

    Raises:
        ExportError: If this cannot be exported, or what was exported differs
            from the original.
    """
    check_exportable(model, path, shape)
    program = trace(ExportNetwork(model), shape)
    with complete_or_absent(path) as unfinished:
        if unfinished.suffix == ONNX:
            _write_onnx(program, description, unfinished)
            runtime = onnx_runtime(unfinished)
        else:
            _write_program(program, description, unfinished)
            runtime = torch_runtime(torch.export.load(unfinished))
        return [
            compare(model, runtime, size)
            for size in ([shape] if shape else [ANY_SIZE, OTHER_SIZE])
        ]


def check_exportable(model: OneFormer, path: Union[str, Path],
                     shape: Optional[Tuple[int, int]]) -> None:
    """Refuse what cannot be exported; see `export_model`."""
    suffix = Path(path).suffix
    if suffix not in (ONNX, PROGRAM):
        raise ExportError(f'{path} must end in {ONNX} or {PROGRAM}')
    if not model.panoptic_head.query_formation.uses_task:
        raise ExportError('the queries of this model know no task: only '
                          'models with a task token can be exported')
    backbone = type(model.backbone)
    sizeless = any(kind.__name__ in _SIZELESS for kind in backbone.__mro__)
    if shape is None and not sizeless:
        raise ExportError(
            f'a model with {backbone.__name__} is exported for one image '
            'size, which must be given: its windows depend on it')
    if shape and (min(shape) < SIZE_DIVISOR or any(side % SIZE_DIVISOR
                                                   for side in shape)):
        raise ExportError(f'image size {shape[0]} x {shape[1]}: expected '
                          f'multiples of {SIZE_DIVISOR}')
    needed = ('onnx', 'onnxruntime', 'onnxscript') if suffix == ONNX else ()
    missing = [name for name in needed if not importlib.util.find_spec(name)]
    if missing:
        raise ExportError(f'{ONNX} files need what is not installed here: '
                          f'pip install {" ".join(missing)}')


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporters say of their own code."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(level)


def trace(network: ExportNetwork,
          shape: Optional[Tuple[int, int]] = None) -> ExportedProgram:
    """Trace a network for any number of tasks.

    Args:
        network (ExportNetwork): To be traced.
        shape (tuple[int, int], optional): See `export_model`. A program for
            any size takes those from twice `SIZE_DIVISOR` on.
    """
    inputs = (torch.zeros(1, 3, *(shape
                                  or ANY_SIZE)), torch.ones(3, CONTEXT_LENGTH))
    sides = {} if shape else {
        2: SIZE_DIVISOR * Dim('height', min=2),
        3: SIZE_DIVISOR * Dim('width', min=2)
    }
    sizes = dict(image=sides, task_tokens={0: Dim('tasks', min=1)})
    with torch.no_grad(), _quiet():
        network(*inputs)  # for the tiles of neighborhood attention
        return torch.export.export(network, inputs, dynamic_shapes=sizes)


def _write_program(program: ExportedProgram, description: dict,
                   path: Path) -> None:
    """Write a file for ``torch.export.load``."""
    extra = {DESCRIPTION: json.dumps(description)}
    with _quiet():
        torch.export.save(program, path, extra_files=extra)


def _write_onnx(program: ExportedProgram, description: dict,
                path: Path) -> None:
    """Write a single ONNX file, weights included."""
    with _quiet():
        onnx = torch.onnx.export(
            program,
            dynamo=True,
            input_names=list(INPUTS),
            output_names=list(OUTPUTS),
            opset_version=OPSET,
            verbose=False)
    onnx.model.metadata_props[DESCRIPTION] = json.dumps(description)
    _name_sizes(onnx.model.graph)
    onnx.save(path, external_data=False)


def _name_sizes(graph) -> None:
    """Give the open sizes of inputs and outputs names that say something."""
    for value in (*graph.inputs, *graph.outputs):
        names = {**INPUTS, **OUTPUTS}[value.name]
        value.shape = type(value.shape)(
            size if isinstance(size, int) else name
            for size, name in zip(value.shape, names))
