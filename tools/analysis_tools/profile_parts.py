"""Tells where the time goes, part by part, and how near each is to its floor.

    python tools/analysis_tools/profile_parts.py [--image-size 512] [--out DIR]

The floor of a part is the larger of two times: that of its multiply-adds at
the rate of a large matrix product, and that of reading its inputs and weights
and writing its outputs once, at the rate of copying memory. Both rates are
measured first.
"""
import argparse
import logging
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Tuple

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import projects.oneformer  # noqa: E402, F401, isort: skip
import torch  # noqa: E402
from benchmarks import data, models  # noqa: E402
from benchmarks.measure import FlopCounter, Workload, matrix_rate  # noqa: E402
from benchmarks.training import Step, flat  # noqa: E402
from torch import nn  # noqa: E402

#: A part of the pixel decoder, which counts it too.
SAMPLING = 'pixel decoder: deformable sampling'


class Part(NamedTuple):
    """Cost of a part in one pass: seconds, 1e9 operations, 1e9 bytes."""
    seconds: float
    gflop: float
    gigabytes: float


class Recorder:
    """Replaces methods by ones that record what they cost.

    Args:
        device: What is waited for before a clock is read.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self.counting = False
        self.seconds: Dict[str, List[float]] = defaultdict(list)
        self.gflop: Dict[str, float] = {}
        self.gigabytes: Dict[str, float] = {}

    def watch(self, owner: Any, method: str, part: str) -> None:
        """Record the calls of a method as those of a part."""
        function = getattr(owner, method)
        weights = sum(
            p.numel() * p.element_size()
            for p in owner.parameters()) if method == 'forward' else 0

        def watched(*args, **kwargs):
            return self.record(part, lambda: function(*args, **kwargs),
                               weights, args)

        setattr(owner, method, watched)

    def record(self,
               part: str,
               call: Callable[[], Any],
               weights: int = 0,
               inputs: Any = ()) -> Any:
        """Call, and record it as a part."""
        if self.counting:
            with FlopCounter() as counter:
                out = call()
            self.gflop[part] = self.gflop.get(part, 0) + counter.flop / 1e9
            moved = weights + _bytes(inputs) + _bytes(out)
            self.gigabytes[part] = self.gigabytes.get(part, 0) + moved / 1e9
            return out
        start = self._now()
        out = call()
        self.seconds[part].append(self._now() - start)
        return out

    def _now(self) -> float:
        if self.device == 'cuda':
            torch.cuda.synchronize()
        return time.perf_counter()

    def passes(self, run: Callable[[], Any], rounds: int) -> Dict[str, Part]:
        """Parts of a run: medians over ``rounds``, after one that counts."""
        self.counting = True
        run()
        self.counting = False
        for _ in range(rounds):
            self.record('all', run)
        parts = {}
        for part, seconds in self.seconds.items():
            calls = len(seconds) // rounds
            each = [
                sum(seconds[i * calls:(i + 1) * calls]) for i in range(rounds)
            ]
            parts[part] = Part(
                statistics.median(each), self.gflop.get(part, 0.),
                self.gigabytes.get(part, 0.))
        return parts


def _bytes(value: Any) -> int:
    """Bytes of the tensors in nested containers."""
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, dict):
        return sum(map(_bytes, value.values()))
    if isinstance(value, (list, tuple)):
        return sum(map(_bytes, value))
    if hasattr(value, 'values') and hasattr(value, 'keys'):  # data elements
        return sum(map(_bytes, value.values()))
    return 0


def copy_rate(device: str) -> float:
    """GB/s that a copy reads and writes."""
    source = torch.ones(1 << 26, device=device)
    target = torch.empty_like(source)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        target.copy_(source)
        if device == 'cuda':
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return 2e-9 * source.numel() * 4 / statistics.median(seconds[1:])


def watch_network(recorder: Recorder, model: nn.Module) -> None:
    head = model.panoptic_head
    recorder.watch(model.backbone, 'forward', 'backbone')
    recorder.watch(head.pixel_decoder, 'forward', 'pixel decoder')
    for layer in head.pixel_decoder.encoder.layers:
        recorder.watch(layer.self_attn, 'sample', SAMPLING)
    recorder.watch(head, 'form_queries', 'query formation')
    recorder.watch(head, 'decode', 'mask decoder')


def profile_answers(workload: Workload, rounds: int) -> Dict[str, Part]:
    """All three answers to one image."""
    recorder = Recorder(workload.device)
    model = _model(workload)
    watch_network(recorder, model)
    fusion = model.panoptic_fusion_head
    for task in ('panoptic', 'instance', 'semantic'):
        recorder.watch(fusion, f'{task}_postprocess',
                       f'post-processing, {task}')
    pixels = models.images(workload, 1)

    @torch.no_grad()
    def run():
        model.predict(pixels, [models.test_sample(workload)])

    return recorder.passes(run, rounds)


def profile_step(workload: Workload, rounds: int) -> Dict[str, Part]:
    """A training step."""
    recorder = Recorder(workload.device)
    model = _model(workload).train()
    watch_network(recorder, model)
    head = model.panoptic_head
    recorder.watch(head.text_mapper, 'forward', 'text mapper')
    recorder.watch(head, '_match', 'matching')
    recorder.watch(head, '_stage_losses', 'class, mask and dice losses')
    recorder.watch(head.loss_contrastive, 'forward', 'contrastive loss')
    pixels = models.images(workload, workload.batch)
    samples = models.train_samples(workload)
    step = Step(model, lambda: flat(model.loss(pixels, samples)))
    step.compared = True
    recorder.watch(step, 'backward', 'backward')
    recorder.watch(step.optimizer, 'step', 'optimizer')
    return recorder.passes(step, rounds)


def profile_data(workload: Workload, rounds: int) -> Dict[str, Part]:
    """Loading and augmenting an image, as on COCO."""
    with tempfile.TemporaryDirectory() as folder:
        data.prepare_jitter(workload, Path(folder))
        load = data.our_jitter(workload, Path(folder))
        load()
        start = time.perf_counter()
        for _ in range(rounds):
            load()
        images = rounds * data.IMAGES * data.PASSES
        seconds = (time.perf_counter() - start) / images
    return {'loading and augmenting, an image': Part(seconds, 0., 0.)}


def _model(workload: Workload) -> nn.Module:
    with tempfile.TemporaryDirectory() as folder:
        models.prepare_alone(workload, Path(folder))
        return models.our_model(workload, Path(folder))


def table(title: str, parts: Dict[str, Part], rates: Tuple[float,
                                                           float]) -> str:
    """A row for each part, the rest last."""
    rows = [
        f'| {title} | seconds | share | floor | of it |',
        '| --- | --- | --- | --- | --- |'
    ]
    total = parts.get('all')
    named = {name: part for name, part in parts.items() if name != 'all'}
    if total is not None:
        apart = [part for name, part in named.items() if name != SAMPLING]
        rest = total.seconds - sum(part.seconds for part in apart)
        named['the rest'] = Part(max(rest, 0.), 0., 0.)
        named['all'] = Part(total.seconds, sum(part.gflop for part in apart),
                            sum(part.gigabytes for part in apart))
    whole = total.seconds if total else sum(p.seconds for p in named.values())
    for name, part in named.items():
        floor = max(part.gflop / rates[0], part.gigabytes / rates[1])
        near = f'{floor / part.seconds:.0%}' if floor and part.seconds else '-'
        rows.append(f'| {name} | {part.seconds:.3f} | '
                    f'{part.seconds / whole:.0%} | {floor:.3f} | {near} |')
    return '\n'.join(rows)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--model', default='swin-t')
    parser.add_argument('--image-size', type=int, default=512)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--out', metavar='FILE', help='Markdown file')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    logging.disable(logging.INFO)
    torch.set_num_threads(args.threads)
    workload = Workload(
        (args.image_size, ) * 2,
        model=args.model,
        device=args.device,
        threads=args.threads)
    rates = (matrix_rate(args.device, args.threads), copy_rate(args.device))
    lines = [
        f'Matrix product {rates[0]:.0f} GFLOP/s, copy {rates[1]:.1f} GB/s.'
    ]
    for title, profile in (('three answers, 1 image', profile_answers),
                           (f'training step, {workload.batch} images',
                            profile_step), ('data', profile_data)):
        lines += ['', table(title, profile(workload, args.rounds), rates)]
        print('\n'.join(lines[-2:] if len(lines) > 3 else lines), flush=True)
    if args.out:
        Path(args.out).write_text('\n'.join(lines) + '\n')


if __name__ == '__main__':
    main()
