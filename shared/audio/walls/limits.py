"""A reader's limits for one file. The kernel enforces them: it ends a reader whose time is over, and refuses it more memory."""

import resource
import signal
import time
from math import ceil

from pydantic import BaseModel, ConfigDict

#: Memory on top of the file and its sound, which are shared memory. FFmpeg's index of a four-hour file takes a quarter of it.
MEMORY_BYTES = 128 * 1024 * 1024
#: Processor time of a probe: for any file, per megabyte of the file, and at most in all.
#:
#: Every `EARNING_PACKETS` packets of sound earn the probe another half second, four times what they cost. Four quiet hours are a
#: million packets in a few megabytes; a probe that makes no progress earns nothing.
PROBE_SECONDS, PROBE_SECONDS_PER_MB, LONGEST_PROBE_SECONDS = 2.0, 0.25, 40.0
EARNING_PACKETS, EARNED_SECONDS = 20_000, 0.5
#: Processor time of a decode: for any file, per second of sound, and per megabyte. Real decoders are at least 100 times as fast
#: as speech.
DECODE_SECONDS, DECODE_SECONDS_PER_SECOND, DECODE_SECONDS_PER_MB = 5.0, 0.05, 1.0
#: Limit by the clock: this many times the processor time, since the machine may be busy, and this many seconds for any file.
WALL_FACTOR, WALL_SECONDS = 4.0, 10.0


class Limits(BaseModel):
    """The limits of one order: processor time, time by the clock, and memory beyond what a reader has from the start."""

    model_config = ConfigDict(frozen=True)

    cpu_seconds: float
    wall_seconds: float
    memory_bytes: int = MEMORY_BYTES


def probe_limits(size_bytes: int) -> Limits:
    """The limits of a probe of a file of this size."""
    cpu = min(LONGEST_PROBE_SECONDS, PROBE_SECONDS + PROBE_SECONDS_PER_MB * size_bytes / 1_000_000)
    return Limits(cpu_seconds=cpu, wall_seconds=WALL_SECONDS + WALL_FACTOR * LONGEST_PROBE_SECONDS)


def decode_limits(size_bytes: int, seconds: float) -> Limits:
    """The limits of a decode of `seconds` of sound from a file of this size."""
    cpu = DECODE_SECONDS + DECODE_SECONDS_PER_SECOND * seconds + DECODE_SECONDS_PER_MB * size_bytes / 1_000_000
    return Limits(cpu_seconds=cpu, wall_seconds=WALL_SECONDS + WALL_FACTOR * cpu)


class Imposed:
    """Limits of the process that makes this object. A signal ends it when its time is over; more memory is refused.

    SIGPROF, SIGALRM and SIGXCPU must have their default action, which ends the process.
    """

    def __init__(self, held_bytes: int) -> None:
        """`held_bytes`: the private memory that the process has now."""
        self._held_bytes = held_bytes
        # A core dump would hold the audio.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def begin(self, limits: Limits) -> None:
        """Impose the limits from now on, for one order."""
        most, hard = self._held_bytes + limits.memory_bytes, resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
        # The timers are exact, but a native library might stop them. RLIMIT_CPU counts whole seconds since the process began.
        whole = ceil(time.process_time() + max(limits.cpu_seconds, LONGEST_PROBE_SECONDS)) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (whole, hard))
        signal.setitimer(signal.ITIMER_PROF, limits.cpu_seconds)
        signal.setitimer(signal.ITIMER_REAL, limits.wall_seconds)

    def earn(self) -> None:
        """The order makes progress: give it a little more time."""
        left, _ = signal.getitimer(signal.ITIMER_PROF)
        signal.setitimer(signal.ITIMER_PROF, left + EARNED_SECONDS)

    def end(self) -> None:
        """The order is done: stop the timers."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
