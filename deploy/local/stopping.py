"""Turns interrupts of the local stack into an exception in the main thread, so that every open `with` stops what it started."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from deploy.local.make_watch import MakeWatch

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOOK_SECONDS = 0.2
EXIT_INTERRUPTED = 130


@contextmanager
def interruptible() -> Iterator[None]:
    """Inside the `with`, a signal or the end of make raises SystemExit. Later signals are ignored, so that stopping goes on."""
    watch = MakeWatch()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        _silence()
        sys.exit(EXIT_INTERRUPTED)

    def look(number: int, frame: FrameType | None) -> None:
        if watch.wants_stop():
            stop(number, frame)

    for number in SIGNALS:
        signal.signal(number, stop)
    if watch.by_make:
        signal.signal(signal.SIGALRM, look)
        signal.setitimer(signal.ITIMER_REAL, LOOK_SECONDS, LOOK_SECONDS)
    try:
        yield
    finally:
        _silence()


def _silence() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
