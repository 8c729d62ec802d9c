"""Notices that the `make` which started us is gone, or was interrupted alone.

Ctrl-C in a terminal reaches make and us alike. A SIGINT that is sent to make's process id reaches make only, and GNU make
then waits for its children without telling them. Its signal table shows it, though: while it waits, SIGINT is no longer caught.
"""

import os
import signal
from pathlib import Path

MAKES = frozenset({"make", "gmake"})


class MakeWatch:
    """Of no effect when our parent is no make, or where there is no /proc (Ctrl-C and SIGTERM work there all the same)."""

    def __init__(self) -> None:
        self._parent = os.getppid()
        self.by_make = _read(self._parent, "comm").strip() in MAKES

    def wants_stop(self) -> bool:
        """Whether make is gone or interrupted. A make that ignores SIGINT (in the background of a script) never is."""
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
