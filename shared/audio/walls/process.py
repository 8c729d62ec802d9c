"""`python -m shared.audio.walls.process SOCKET READERS NICENESS`: keeps that number of readers ready.

The process loads FFmpeg once and forks readers, which takes a few milliseconds each. Orders go from the socket directly to a
reader; this process only reports the death of a reader. It ends when the other end of the socket is closed.
"""

import ctypes
import gc
import os
import select
import signal
import socket
import sys
import time
from contextlib import suppress

from shared.audio.decode import decode
from shared.audio.request import SAMPLE_RATE_HZ, Wanted
from shared.audio.walls.messages import Died
from shared.audio.walls.reader import EXIT_ANSWERED, EXIT_CLOSED, serve

_PR_SET_PDEATHSIG = 1
#: Pause between forks while readers fail to begin; it doubles each time.
FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS = 0.05, 5.0
LOOK_SECONDS = 0.5


def main() -> int:
    """Run until the other end of the socket is closed. Returns the exit code."""
    orders = socket.socket(fileno=int(sys.argv[1]))
    readers, niceness = int(sys.argv[2]), int(sys.argv[3])
    # The terminal's Ctrl-C reaches the whole process group, but this process must live as long as the one beside it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.nice(niceness)
    _name()
    _warm()
    gc.collect()
    gc.freeze()
    _keep(orders, readers)
    return 0


def _keep(orders: socket.socket, readers: int) -> None:
    """Fork a reader for each that has ended, until the other end of the socket is closed."""
    alive: set[int] = set()
    backoff = FIRST_BACKOFF_SECONDS
    # A reader's death wakes this process. It also checks the socket now and then: busy readers do not notice that it was closed.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    while not _is_closed(orders):
        while len(alive) < readers:
            alive.add(_fork(orders))
        signal.sigtimedwait({signal.SIGCHLD}, LOOK_SECONDS)
        for pid, code in _dead():
            alive.discard(pid)
            if code in (EXIT_ANSWERED, EXIT_CLOSED):
                backoff = FIRST_BACKOFF_SECONDS
                continue
            with suppress(OSError):
                orders.send(Died(died_pid=pid, cause=_cause(code)).model_dump_json().encode())
            if code > 0:
                # The reader failed to begin: one that a file brings down is ended by a signal.
                time.sleep(backoff)
                backoff = min(LONGEST_BACKOFF_SECONDS, 2 * backoff)
    for pid in alive:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _is_closed(orders: socket.socket) -> bool:
    poll = select.poll()
    # Poll for hang-up only, which is always reported: the messages are for the readers.
    poll.register(orders, 0)
    return bool(poll.poll(0))


def _dead() -> list[tuple[int, int]]:
    """Process ids and exit codes of readers that have ended."""
    found = []
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            found.append((ended[0], os.waitstatus_to_exitcode(ended[1])))
    return found


def _fork(orders: socket.socket) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        # Keep the output of libraries about a file out of the log.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
        # A reader does not outlive this process, however this process ends.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == parent:
            code = serve(orders)
    finally:
        # Skip Python's shutdown: its resources belong to the parent.
        os._exit(code)


def _warm() -> None:
    """Decode a moment of silence, so that readers start with everything loaded."""
    import numpy as np

    from shared.audio.wav import PcmEncoding, wav_of_pcm

    buffer = np.zeros((1, SAMPLE_RATE_HZ), np.float32)
    decode(wav_of_pcm(bytes(800), PcmEncoding.MULAW, 8_000, 1), Wanted(max_seconds=1.0), buffer)


def _name() -> None:
    with suppress(ImportError):
        from setproctitle import setproctitle

        setproctitle("whisper-fleet reader")


def _cause(code: int) -> str:
    if code < 0:
        with suppress(ValueError):
            return signal.Signals(-code).name
    return f"exit code {code}"


if __name__ == "__main__":
    sys.exit(main())
