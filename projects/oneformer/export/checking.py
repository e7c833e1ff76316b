"""Comparing an exported model with the one it was made from."""
from pathlib import Path
from typing import Callable, List, NamedTuple, Sequence, Tuple, Union

import torch
from torch import Tensor
from torch.export import ExportedProgram

from ..models import OneFormer
from ..tasks import TASKS

#: Largest difference of logits, in units of the largest logit.
TOLERANCE = 1e-3
#: Largest share of the bits of attention masks that may differ.
BIT_TOLERANCE = 1e-4

#: Runs an exported model: image and task tokens to class logits, mask logits
#: and the attention masks of all layers.
Runtime = Callable[[Tensor, Tensor], Tuple[Tensor, Tensor, List[Tensor]]]


class ExportError(ValueError):
    """An exported model does not do what the original does."""


class Agreement(NamedTuple):
    """How an exported model compares with the original on one image.

    ``class_logits`` and ``mask_logits`` are largest differences in units of
    the largest value; ``bits`` is the share of attention mask bits that
    differ.
    """
    size: Tuple[int, int]
    class_logits: float
    mask_logits: float
    bits: float

    def __str__(self) -> str:
        return (f'{self.size[0]} x {self.size[1]}: class logits '
                f'{self.class_logits:.1e}, mask logits {self.mask_logits:.1e},'
                f' attention mask bits {self.bits:.1e}')


class _GivenMasks:
    """Takes the place of ``OneFormerHead._attention_mask``.

    A pixel whose mask logit is zero but for rounding may be seen by one
    runtime and not by the other, and all that follows then differs a little.
    So the original is run on the masks of the exported model, and the bits
    that it would have set otherwise are counted.
    """

    def __init__(self, original: Callable, masks: Sequence[Tensor]) -> None:
        self._original = original
        self._masks = iter(masks)
        self.different = self.total = 0

    def __call__(self, mask_embed: Tensor, level_mask: Tensor) -> Tensor:
        given = next(self._masks)
        own = self._original(mask_embed, level_mask)
        self.different += int((given != own).sum())
        self.total += own.numel()
        return given


def compare(model: OneFormer, runtime: Runtime, size: Tuple[int,
                                                            int]) -> Agreement:
    """Compare an exported model with the original, under all three tasks.

    Args:
        model (OneFormer): The original.
        runtime (Runtime): Runs the exported model.
        size (tuple[int, int]): Height and width of a random image.

    Raises:
        ExportError: If they differ by more than `TOLERANCE` or
            `BIT_TOLERANCE`.
    """
    generator = torch.Generator().manual_seed(0)
    image = torch.rand((1, 3, *size), generator=generator) * 255
    preprocessor, head = model.data_preprocessor, model.panoptic_head
    *logits, masks = runtime(image, head.query_formation.task_mlp.tokens)
    colours = image if preprocessor._channel_conversion else image.flip(1)
    if len(masks) != len(head.transformer_decoder.layers):
        raise RuntimeError(f'{len(masks)} attention masks were found in the '
                           'exported model, one for each of '
                           f'{len(head.transformer_decoder.layers)} layers '
                           'was expected')
    given = _GivenMasks(head._attention_mask, masks)
    head._attention_mask = given
    try:
        with torch.no_grad():
            features = model.extract_feat(
                (colours - preprocessor.mean) / preprocessor.std)
            expected = head.predict(features, [TASKS])
    finally:
        del head._attention_mask
    agreement = Agreement(
        size,
        *(_relative(ours, theirs[0])
          for ours, theirs in zip(logits, expected)),
        given.different / given.total)
    if (max(agreement[1:3]) > TOLERANCE or agreement.bits > BIT_TOLERANCE):
        raise ExportError(
            'the exported model differs from the original by more than '
            f'{TOLERANCE} or {BIT_TOLERANCE} of the bits: {agreement}')
    return agreement


def _relative(actual: Tensor, expected: Tensor) -> float:
    """Largest difference in units of the largest value."""
    return ((actual - expected).abs().max() / expected.abs().max()).item()


def torch_runtime(program: ExportedProgram) -> Runtime:
    """Run a program of ``torch.export`` and keep its attention masks."""
    graph = program.module()

    class Recorder(torch.fx.Interpreter):
        """Keeps what the graph combines by "or"."""

        def __init__(self) -> None:
            super().__init__(graph)
            self.masks: List[Tensor] = []

        def call_function(self, target, args, kwargs):
            result = super().call_function(target, args, kwargs)
            if target is torch.ops.aten.__or__.Tensor:
                self.masks.append(result)
            return result

    def run(image: Tensor, tokens: Tensor):
        recorder = Recorder()
        with torch.no_grad():
            logits = recorder.run(image, tokens)
        return (*logits, recorder.masks)

    return run


def onnx_runtime(path: Union[str, Path]) -> Runtime:
    """Run an ONNX file in onnxruntime and read its attention masks."""
    import onnx
    import onnxruntime
    model = onnx.load(path)
    masks = [
        node.output[0] for node in model.graph.node if node.op_type == 'Or'
    ]
    model.graph.output.extend(
        onnx.helper.make_empty_tensor_value_info(name) for name in masks)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=['CPUExecutionProvider'])

    def run(image: Tensor, tokens: Tensor):
        outputs = session.run(
            None, dict(image=image.numpy(), task_tokens=tokens.numpy()))
        logits = [torch.from_numpy(x) for x in outputs[:2]]
        return (*logits, [torch.from_numpy(x) for x in outputs[2:]])

    return run
