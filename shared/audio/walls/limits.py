"""What a reader may use for one file. The kernel enforces it, and ends the reader that wants more."""

import resource
import signal
import time
from math import ceil

from pydantic import BaseModel, ConfigDict

#: Beside the file and its sound, which are shared memory. FFmpeg's index of a four hour file takes a quarter of it.
MEMORY_BYTES = 128 * 1024 * 1024
#: A probe: processor time for any file, and for each megabyte of it; the last number is the most that it gets in all. Every
#: `EARNING_PACKETS` packets of sound earn it another half second, four times what they cost: four quiet hours are a million
#: packets in a few megabytes, and a file that gets nowhere earns nothing.
PROBE_SECONDS, PROBE_SECONDS_PER_MB, LONGEST_PROBE_SECONDS = 2.0, 0.25, 40.0
EARNING_PACKETS, EARNED_SECONDS = 20_000, 0.5
#: A decode: for any file, by length and by size. Real decoders are at least a hundred times as fast as speech.
DECODE_SECONDS, DECODE_SECONDS_PER_SECOND, DECODE_SECONDS_PER_MB = 5.0, 0.05, 1.0
#: How much longer a busy machine may take than the processor time says, and how many seconds are added for any file.
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
    return Limits(cpu_seconds=cpu, wall_seconds=WALL_SECONDS + WALL_FACTOR * LONGEST_PROBE_SECONDS)


def decode_limits(size_bytes: int, seconds: float) -> Limits:
    """For a file of this size that is so long."""
    cpu = DECODE_SECONDS + DECODE_SECONDS_PER_SECOND * seconds + DECODE_SECONDS_PER_MB * size_bytes / 1_000_000
    return Limits(cpu_seconds=cpu, wall_seconds=WALL_SECONDS + WALL_FACTOR * cpu)


class Imposed:
    """Limits of the process that it is made in, which ends by a signal when its time is over, and gets no more memory.

    SIGPROF, SIGALRM and SIGXCPU must have their default action, which is to end it.
    """

    def __init__(self, held_bytes: int) -> None:
        """`held_bytes`: the private memory that the process has now."""
        self._held_bytes = held_bytes
        # A core dump would hold the audio.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def begin(self, limits: Limits) -> None:
        """From now on, for one order."""
        most, hard = self._held_bytes + limits.memory_bytes, resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
        # The timers are exact, and a native library might stop them; this one counts whole seconds since the process began.
        whole = ceil(time.process_time() + max(limits.cpu_seconds, LONGEST_PROBE_SECONDS)) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (whole, hard))
        signal.setitimer(signal.ITIMER_PROF, limits.cpu_seconds)
        signal.setitimer(signal.ITIMER_REAL, limits.wall_seconds)

    def earn(self) -> None:
        """The order comes on: it may take a little longer."""
        left, _ = signal.getitimer(signal.ITIMER_PROF)
        signal.setitimer(signal.ITIMER_PROF, left + EARNED_SECONDS)

    def end(self) -> None:
        """The order is done: no time runs out any more."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
