"""Notices that the `make` that started this process is gone, or that only make was interrupted.

Ctrl-C in a terminal reaches both make and this process. A SIGINT that is sent to make's process id reaches only make, and GNU
make then waits for its children without telling them. Its signal table in /proc shows it: while make waits, it no longer
catches SIGINT.
"""

import os
import signal
from pathlib import Path

MAKES = frozenset({"make", "gmake"})


class MakeWatch:
    """Has no effect when the parent process is not make, or without /proc. Ctrl-C and SIGTERM work in these cases, too."""

    def __init__(self) -> None:
        self._parent = os.getppid()
        self.by_make = _read(self._parent, "comm").strip() in MAKES

    def wants_stop(self) -> bool:
        """Whether make is gone or was interrupted. A make that ignores SIGINT (in the background of a script) never is."""
        if not self.by_make:
            return False
        return os.getppid() != self._parent or not _heeds_interrupts(self._parent)


def _heeds_interrupts(process: int) -> bool:
    """Whether the process catches or ignores SIGINT."""
    heeded = 0
    for line in _read(process, "status").splitlines():
        name, _, value = line.partition(":")
        if name in ("SigCgt", "SigIgn"):
            heeded |= int(value, 16)
    return bool(heeded >> (signal.SIGINT - 1) & 1)


def _read(process: int, name: str) -> str:
    try:
        return Path("/proc", str(process), name).read_text()
    except OSError:
        return ""
