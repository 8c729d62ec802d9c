"""A baseline in a process of its own: loaded once, warm, asked for as often as a benchmark likes."""

import importlib
import importlib.util
import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection

import numpy as np
import soundfile
from numpy.typing import NDArray

#: Mono, 16 kHz, float32.
Clips = Sequence[NDArray[np.float32]]
Transcribe = Callable[[Clips], list[str]]

START_SECONDS, ANSWER_SECONDS = 120.0, 600.0
#: Decodes of the first clip before anything is timed.
WARMING = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Baseline:
    """What people would use instead of the fleet. `module` has `load(threads, **options)`, which returns a `Transcribe`."""

    name: str
    #: The module of this package, without the package's name.
    module: str
    options: Mapping[str, object] = field(default_factory=dict)
    #: The installed package that it needs.
    package: str
    #: Whether it decodes several clips at a time.
    batches: bool = False

    @property
    def missing(self) -> bool:
        """Whether its package is not installed here."""
        return importlib.util.find_spec(self.package) is None


@dataclass(frozen=True, kw_only=True)
class Timed:
    """Transcripts, and the seconds that they took."""

    transcripts: list[str]
    seconds: float

    @property
    def ms_per_clip(self) -> float:
        return 1000 * self.seconds / len(self.transcripts)


def samples_of(wav: bytes) -> NDArray[np.float32]:
    """A wav of 16 kHz as a baseline takes it."""
    samples: NDArray[np.float32] = soundfile.read(io.BytesIO(wav), dtype="float32")[0]
    return samples


class Warm:
    """The loaded process."""

    def __init__(self, name: str, connection: Connection) -> None:
        self._name = name
        self._connection = connection

    def transcribe(self, clips: Clips) -> Timed:
        """Transcribe these clips. Raises `RuntimeError` if the process does not answer."""
        self._connection.send(clips)
        return self.receive(ANSWER_SECONDS)

    def receive(self, timeout_seconds: float) -> Timed:
        """The next answer. Raises `RuntimeError` if there is none in time, or if the process has ended."""
        try:
            if self._connection.poll(timeout_seconds):
                answer: Timed = self._connection.recv()
                return answer
        except EOFError:
            raise RuntimeError(f"{self._name} has ended: see its error above") from None
        raise RuntimeError(f"{self._name} did not answer within {timeout_seconds:.0f} s")


@contextmanager
def running(baseline: Baseline, threads: int, warm_with: Clips) -> Iterator[Warm]:
    """Start the process, load the model and decode the first clip a few times. The process ends with the `with`."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, baseline.module, threads, dict(baseline.options)), daemon=True)
    process.start()
    theirs.close()
    try:
        warm = Warm(baseline.name, ours)
        warm.receive(START_SECONDS)
        for _ in range(WARMING):
            warm.transcribe(warm_with)
        yield warm
    finally:
        ours.close()
        process.join(10)
        process.kill()


def _serve(connection: Connection, module: str, threads: int, options: dict[str, object]) -> None:
    """The process: load, say so, then answer until the other end closes."""
    transcribe: Transcribe = importlib.import_module(f"{__package__}.{module}").load(threads, **options)
    connection.send(Timed(transcripts=[], seconds=0.0))
    while True:
        try:
            clips = connection.recv()
        except EOFError:
            return
        started = time.perf_counter()
        heard = transcribe(clips)
        connection.send(Timed(transcripts=heard, seconds=time.perf_counter() - started))
