"""Measuring two ways of one thing in turn, each in a process of its own."""
import gc
import importlib.util
import logging
import multiprocessing
import statistics
import tempfile
import time
import traceback
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Callable, List, Optional, Tuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

MIB = 1 << 20


class BenchmarkError(Exception):
    """A case that could not be measured, and why."""


@dataclass(frozen=True)
class Workload:
    """What is measured.

    Attributes:
        image_size: Height and width of the images, in pixels.
        queries: Queries of the model.
        objects: Ground truth masks of an image.
        batch: Images of a training step.
        model: Ours, of ``configs/_base_/models/oneformer_{model}.py``.
        device: 'cpu' or 'cuda'.
        threads: Of PyTorch.
        compiled: Whether our model goes through ``torch.compile``.
        autocast: Name of the type of mixed precision, for our side and the
            peer's, or None.
    """
    image_size: Tuple[int, int] = (512, 512)
    queries: int = 150
    objects: int = 20
    batch: int = 2
    model: str = 'swin-t'
    device: str = 'cpu'
    threads: int = 2
    compiled: bool = False
    autocast: Optional[str] = None


#: Called with the workload and the folder that `Case.prepare` wrote to; gives
#: the function to be measured, whose result may be compared.
Build = Callable[[Workload, Path], Callable[[], Any]]


@dataclass(frozen=True)
class Contender:
    """One of the two ways.

    Attributes:
        name: As the table shows it.
        build: See `Build`; a function of a module, since it runs elsewhere.
        needs: Modules that must be installed.
    """
    name: str
    build: Build
    needs: Tuple[str, ...] = ()

    def missing(self) -> List[str]:
        """The modules that are not installed."""
        return [
            name for name in self.needs
            if importlib.util.find_spec(name) is None
        ]


@dataclass(frozen=True)
class Case:
    """Two ways of one thing, and what is wanted of ours.

    Attributes:
        name: As the command line takes it.
        title: What is measured.
        ours, peer: The two ways.
        least_speedup: How many times as fast ours is to be, if anything is
            asked.
        compare: Called with the results of both; says how equal they are, or
            raises a `BenchmarkError`. None where they are different things.
        prepare: Writes what both read into a folder, once.
        largest_memory: What share of the peer's memory ours may take.
        per_call: How many units of ``unit`` a call handles.
        unit: What is counted a second, 'image' for example.
    """
    name: str
    title: str
    ours: Contender
    peer: Contender
    least_speedup: Optional[float]
    compare: Optional[Callable[[Any, Any], str]] = None
    prepare: Optional[Callable[[Workload, Path], None]] = None
    largest_memory: Optional[float] = None
    per_call: int = 1
    unit: str = ''


@dataclass(frozen=True)
class Timing:
    """Measurements of one contender.

    Attributes:
        name: Of the contender.
        seconds: Of each round.
        peak_mib: Largest memory of its process during the rounds, or of its
            tensors on a GPU.
        start_mib: What it held before the first round.
        gflop: Floating point operations of the matrix products,
            convolutions and attentions of a call, in 1e9.
    """
    name: str
    seconds: List[float]
    peak_mib: float
    start_mib: float
    gflop: float

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


@dataclass(frozen=True)
class Result:
    """A case that was measured; ``equality`` is what `Case.compare` said."""
    case: Case
    ours: Timing
    peer: Timing
    equality: str

    @property
    def ratios(self) -> List[float]:
        """Time of the peer over ours, round by round."""
        return [
            peer / ours
            for ours, peer in zip(self.ours.seconds, self.peer.seconds)
        ]

    @property
    def speedup(self) -> float:
        """Median of the ratios."""
        return statistics.median(self.ratios)

    @property
    def memory(self) -> float:
        """Our peak memory over the peer's."""
        return self.ours.peak_mib / self.peer.peak_mib


def measure(case: Case, workload: Workload, rounds: int) -> Result:
    """Measure both contenders, A B A B.

    Both run once before, untimed; that is where results are compared. Only
    one of the two processes works at a time. In each turn a call before the
    timed one brings back caches and pages that the other side took.

    Raises:
        BenchmarkError: If a module is missing, a contender fails, or results
            are not equal.
    """
    contenders = (case.ours, case.peer)
    missing = [
        name for contender in contenders for name in contender.missing()
    ]
    if missing:
        raise BenchmarkError(f'{", ".join(missing)} not installed')
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if case.prepare is not None:
            _apart(case.prepare, workload, folder)
        processes = [
            stack.enter_context(_Process(contender, workload, folder))
            for contender in contenders
        ]
        results = [process.ask('result') for process in processes]
        equality = ''
        if case.compare is not None and workload.autocast is None:
            equality = case.compare(*results)
        gflop = [process.ask('gflop') for process in processes]
        start = [process.ask('start') for process in processes]
        seconds = [[], []]
        for _ in range(rounds):
            for process, taken in zip(processes, seconds):
                taken.append(process.ask('time'))
        peak = [process.ask('peak') for process in processes]
    timings = [
        Timing(contender.name, *values)
        for contender, *values in zip(contenders, seconds, peak, start, gflop)
    ]
    return Result(case, *timings, equality)


def measure_alone(contender: Contender, workload: Workload,
                  prepare: Callable[[Workload, Path],
                                    None], rounds: int) -> Timing:
    """Measure one contender, after one untimed call.

    Raises:
        BenchmarkError: If it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        _apart(prepare, workload, Path(folder))
        with _Process(contender, workload, Path(folder)) as process:
            gflop = process.ask('gflop')
            start = process.ask('start')
            seconds = [process.ask('time') for _ in range(rounds)]
            peak = process.ask('peak')
    return Timing(contender.name, seconds, peak, start, gflop)


def matrix_rate(device: str, threads: int, side: int = 3072) -> float:
    """GFLOP/s of a float32 matrix product, the median of seven.

    Args:
        device: 'cpu' or 'cuda'.
        threads: Of PyTorch.
        side: Rows and columns of the matrices.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    left, right = torch.randn(2, side, side, device=device)
    seconds = []
    for _ in range(8):
        seconds.append(_timed(lambda: left @ right, device))
    torch.set_num_threads(before)
    return 2e-9 * side**3 / statistics.median(seconds[1:])


def _timed(run: Callable[[], Any], device: str) -> float:
    """Seconds of a call, those of the GPU's work included."""
    if device == 'cuda':
        torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    if device == 'cuda':
        torch.cuda.synchronize()
    return time.perf_counter() - start


class _Process:
    """A contender in its process, which answers one question at a time."""

    def __init__(self, contender: Contender, workload: Workload,
                 folder: Path) -> None:
        context = multiprocessing.get_context('spawn')
        self.name = contender.name
        self.connection, theirs = context.Pipe()
        self.process = context.Process(
            target=_serve,
            args=(theirs, contender.build, workload, folder),
            daemon=True)
        self.process.start()
        theirs.close()

    def __enter__(self) -> '_Process':
        return self

    def __exit__(self, *error) -> None:
        self.connection.close()
        self.process.join(timeout=10)
        if self.process.is_alive():
            self.process.kill()

    def ask(self, question: str) -> Any:
        """The answer to 'result', 'gflop', 'start', 'time' or 'peak'."""
        try:
            self.connection.send(question)
            kind, answer = self.connection.recv()
        except (EOFError, OSError):
            self.process.join(timeout=10)
            raise BenchmarkError(f'{self.name} ended with exit status '
                                 f'{self.process.exitcode}') from None
        if kind == 'error':
            raise BenchmarkError(f'{self.name} failed:\n{answer}')
        return answer


def _apart(work: Callable, *args) -> None:
    """Call a function in a process of its own, which frees its memory."""
    context = multiprocessing.get_context('spawn')
    process = context.Process(target=_quietly, args=(work, *args))
    process.start()
    process.join()
    if process.exitcode:
        raise BenchmarkError(f'{work.__name__} ended with exit status '
                             f'{process.exitcode}')


def _quietly(work: Callable, *args) -> None:
    logging.disable(logging.INFO)  # a line for each parameter
    work(*args)


def _serve(connection: Connection, build: Build, workload: Workload,
           folder: Path) -> None:
    """Answer questions until the other end hangs up."""
    logging.disable(logging.INFO)  # a line for each parameter
    torch.set_num_threads(workload.threads)
    torch.manual_seed(0)
    device = workload.device
    try:
        run = build(workload, folder)
        while True:
            question = connection.recv()
            if question == 'result':
                answer = to_numbers(run())
            elif question == 'gflop':
                answer = _count(run)
            elif question == 'start':
                answer = _reset_peak(device)
            elif question == 'time':
                run()  # finds what the other side displaced in the meantime
                answer = _timed(run, device)
            else:
                answer = _peak(device)
            connection.send(('answer', answer))
    except (EOFError, KeyboardInterrupt):
        pass
    except Exception:  # whatever it is, the other end tells it
        connection.send(('error', traceback.format_exc()))


def to_numbers(value: Any) -> Any:
    """Tensors, in whatever they stand, as NumPy arrays."""
    if isinstance(value, torch.Tensor):
        return value.detach().float().cpu().numpy()
    if isinstance(value, dict):
        return {key: to_numbers(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_numbers(entry) for entry in value]
    return value


def _count(run: Callable[[], Any]) -> float:
    """GFLOP of the matrix products of a call."""
    with FlopCounter() as counter:
        run()
    return counter.flop / 1e9


#: Products that are added to what is there; the formulas know the others.
IN_PLACE = {
    torch.ops.aten.addmm_: torch.ops.aten.addmm,
    torch.ops.aten.baddbmm_: torch.ops.aten.baddbmm
}


class FlopCounter(TorchDispatchMode):
    """PyTorch's formulas without its ``FlopCounterMode``.

    That one follows the modules as well, which fails on tensors that need
    gradients where none are taken.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flop = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        operator = func._overloadpacket
        formula = flop_registry.get(IN_PLACE.get(operator, operator))
        if formula is not None:
            self.flop += formula(*args, **kwargs, out_val=out)
        return out


def _reset_peak(device: str) -> float:
    """Forget the peak so far; the memory held now in MiB."""
    gc.collect()
    if device == 'cuda':
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated() / MIB
    Path('/proc/self/clear_refs').write_text('5')
    return _status('VmRSS')


def _peak(device: str) -> float:
    if device == 'cuda':
        return torch.cuda.max_memory_allocated() / MIB
    return _status('VmHWM')


def _status(entry: str) -> float:
    """An entry of /proc/self/status, given in KiB, in MiB."""
    for line in Path('/proc/self/status').read_text().splitlines():
        name, _, value = line.partition(':')
        if name == entry:
            return int(value.split()[0]) / 1024
    raise BenchmarkError(f'/proc/self/status has no {entry}')
