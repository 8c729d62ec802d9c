"""What a reader may use for one file. The kernel enforces it, and ends the reader that wants more."""

import resource
import signal
from math import ceil

from pydantic import BaseModel, ConfigDict

#: Beside the file and its sound, which are shared memory. FFmpeg's index of a four hour file takes a quarter of it.
MEMORY_BYTES = 128 * 1024 * 1024
#: A probe: processor time for any file, and by size. A sound four hour file takes a fraction of it (docs/performance.md).
PROBE_SECONDS, PROBE_SECONDS_PER_MB, LONGEST_PROBE_SECONDS = 0.5, 1.0, 30.0
#: A decode: for any file, by length and by size. Real decoders are at least a hundred times as fast as speech.
DECODE_SECONDS, DECODE_SECONDS_PER_SECOND, DECODE_SECONDS_PER_MB = 5.0, 0.05, 1.0
#: A machine that is busy may take so much longer than the processor time says, and this much for any file.
WALL_FACTOR, WALL_SECONDS = 4.0, 10.0


class Limits(BaseModel):
    """Of one order: processor time, time by the clock, and memory beyond what a reader has from the start."""

    model_config = ConfigDict(frozen=True)

    cpu_seconds: float
    wall_seconds: float
    memory_bytes: int = MEMORY_BYTES


def probe_limits(size_bytes: int) -> Limits:
    """For a file of this size."""
    cpu = min(LONGEST_PROBE_SECONDS, PROBE_SECONDS + PROBE_SECONDS_PER_MB * size_bytes / 1_000_000)
    return Limits(cpu_seconds=cpu, wall_seconds=WALL_SECONDS + WALL_FACTOR * cpu)


def decode_limits(size_bytes: int, seconds: float) -> Limits:
    """For a file of this size that is so long."""
    cpu = DECODE_SECONDS + DECODE_SECONDS_PER_SECOND * seconds + DECODE_SECONDS_PER_MB * size_bytes / 1_000_000
    return Limits(cpu_seconds=cpu, wall_seconds=WALL_SECONDS + WALL_FACTOR * cpu)


def impose(limits: Limits, held_bytes: int) -> None:
    """On this process, for good: it ends by a signal when its time is over, and gets no more memory.

    `held_bytes`: the private memory that it has now. SIGPROF and SIGALRM must have their default action, which is to end it.
    """
    most = held_bytes + limits.memory_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    whole = ceil(limits.cpu_seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (whole, whole))
    # A core dump would hold the audio.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.setitimer(signal.ITIMER_PROF, limits.cpu_seconds)
    signal.setitimer(signal.ITIMER_REAL, limits.wall_seconds)
