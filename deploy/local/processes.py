"""Child processes of the local stack: each has a session of its own, and none outlives this process."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PR_SET_PDEATHSIG = 1


class ProcessEnded(Exception):
    """A process has ended that should keep running. The message says how, and may hold the end of its log."""


class Child:
    """A running process and its log file."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.name, self._process, self._log = name, process, log

    def check(self) -> None:
        """Raises `ProcessEnded` when the process has ended."""
        code = self._process.poll()
        if code is not None:
            raise ProcessEnded(f"{self.name} ended with {code}. The end of its log:\n{self.log_tail()}")

    def log_tail(self, lines: int = 30) -> str:
        """The last lines that the process wrote."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])

    def ask_to_stop(self) -> None:
        """Send SIGTERM if the process still runs."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def stop(self, patience_seconds: float) -> None:
        """Send SIGTERM and wait until the process is gone. After `patience_seconds` its whole process group is killed."""
        self.ask_to_stop()
        try:
            self._process.wait(patience_seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


@contextmanager
def child(
    name: str, command: Sequence[str], environment: Mapping[str, str], log: Path, patience_seconds: float
) -> Iterator[Child]:
    """Run a process for the time of a `with`.

    The process has a session of its own, so that a terminal's Ctrl-C does not reach it: this process stops its children in order.
    """
    with log.open("ab") as out:
        process = subprocess.Popen(
            list(command),
            cwd=ROOT,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            preexec_fn=dying_with_parent(),  # noqa: PLW1509 - all children are started before any thread is
        )
    running = Child(name, process, log)
    try:
        yield running
    finally:
        running.stop(patience_seconds)


def dying_with_parent() -> Callable[[], None] | None:
    """A `preexec_fn` for a child, so that the kernel sends it SIGTERM when this process ends, even if this process is killed.

    None on systems other than Linux, which cannot do that.
    """
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)

    def ask_kernel() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

    return ask_kernel
