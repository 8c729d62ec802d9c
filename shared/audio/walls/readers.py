"""What gateways and model processes call to have a file read. They never load FFmpeg themselves."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from shared.audio.report import AudioInfo
from shared.audio.request import Wanted
from shared.audio.walls.limits import Limits, decode_limits, probe_limits
from shared.audio.walls.messages import MESSAGE_BYTES, Died, Order, Task, Told
from shared.audio.walls.shared_memory import SharedBuffer, SharedFile
from shared.errors import (
    AudioTooLong,
    EmptyAudio,
    FleetError,
    HarmfulAudio,
    MalformedAudio,
    NotAudio,
    ReadersUnavailable,
    UnsupportedAudio,
)
from shared.logs import get_logger

ROOT = Path(__file__).resolve().parent.parent.parent.parent
#: How many files may wait for a reader.
MOST_WAITING = 256
#: An order whose readers' process died (not its reader) is given to the next one, so many times.
MOST_TRIES = 2
RESTART_SECONDS = 0.2
_ERRORS: Sequence[type[FleetError]] = (EmptyAudio, NotAudio, MalformedAudio, UnsupportedAudio, AudioTooLong)
_BY_CODE = {error.code: error for error in _ERRORS}
#: Causes of death that are the file's own, and would be again. SIGKILL and SIGALRM may be the machine's trouble.
_THE_FILES_FAULT = frozenset({"SIGPROF", "SIGXCPU", "SIGSEGV", "SIGBUS", "SIGABRT", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS"})

_LOG = get_logger(__name__)


@dataclass(eq=False)
class Reading:
    """An order that waits or is under way. `result` is set once it is answered, or to an error."""

    order: Order
    file: SharedFile
    #: Of a decode: where its sound goes.
    buffer: SharedBuffer | None = None
    result: "Future[Told]" = field(default_factory=Future)
    pid: int | None = None
    tries: int = 0
    is_withdrawn: bool = False

    def descriptors(self) -> list[int]:
        """What goes along with the order."""
        return [self.file.descriptor, *([self.buffer.descriptor] if self.buffer else [])]


class Readers:
    """A process with some readers beside this one. Safe for use from several threads."""

    def __init__(self, count: int, niceness: int) -> None:
        self._count, self._niceness = count, niceness
        self._lock = threading.Lock()
        self._waiting: deque[Reading] = deque()
        self._under_way: dict[int, Reading] = {}
        self._number = 0
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._is_closed = False

    def start(self) -> None:
        """Start the process, and the thread that hears from it."""
        self._launch()
        threading.Thread(target=self._run, name="readers", daemon=True).start()

    def close(self) -> None:
        """End the process. What is under way fails with `ReadersUnavailable`."""
        with self._lock:
            self._is_closed = True
            if self._socket is not None:
                # Both ways: whoever is waiting on it, here or there, wakes.
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(2.0)
            self._process.kill()
            self._process.wait()

    def probe(self, file: SharedFile, *, track: int | None, max_seconds: float) -> "Reading":
        """How long a file is, and what is in it: pass what comes to `info_from`. The file is ours from now on."""
        wanted = Wanted(max_seconds=max_seconds, track=track)
        return self._submit(Task.PROBE, file, wanted, probe_limits(file.size_bytes))

    def decode(self, file: SharedFile, wanted: Wanted, seconds: float, buffer: SharedBuffer) -> "Reading":
        """The first so many seconds of a file's sound, into a buffer. The file is ours now. `decodes` has the call for it."""
        return self._submit(Task.DECODE, file, wanted, decode_limits(file.size_bytes, seconds), buffer)

    def withdraw(self, reading: Reading) -> None:
        """Nobody wants it any more: its reader is ended."""
        with self._lock:
            reading.is_withdrawn = True
            if reading in self._waiting:
                self._waiting.remove(reading)
                self._conclude(reading, ReadersUnavailable("Withdrawn."))
            elif reading.pid is not None and reading.order.number in self._under_way:
                with suppress(ProcessLookupError):
                    os.kill(reading.pid, signal.SIGKILL)

    def _submit(
        self, task: Task, file: SharedFile, wanted: Wanted, limits: Limits, buffer: SharedBuffer | None = None
    ) -> Reading:
        with self._lock:
            self._number += 1
            order = Order(
                number=self._number,
                task=task,
                size_bytes=file.size_bytes,
                wanted=wanted,
                limits=limits,
                rows=buffer.rows if buffer else 0,
                capacity=buffer.capacity if buffer else 0,
            )
            reading = Reading(order, file, buffer)
            if len(self._waiting) >= MOST_WAITING or self._is_closed:
                self._conclude(reading, ReadersUnavailable("Too many files are being looked at; try again in a moment."))
            else:
                self._waiting.append(reading)
                self._send_next()
        return reading

    def _send_next(self) -> None:
        """As many orders as there are readers: none waits in the socket, where it could not be taken back."""
        while self._waiting and len(self._under_way) < self._count and self._socket is not None:
            reading = self._waiting.popleft()
            try:
                socket.send_fds(self._socket, [reading.order.model_dump_json().encode()], reading.descriptors())
            except OSError:
                # The process is gone, as the thread that listens is about to notice.
                self._waiting.appendleft(reading)
                return
            reading.tries += 1
            self._under_way[reading.order.number] = reading

    def _launch(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        path = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH", "")) if part)
        # Readers work alone: threads of numpy's own would only be in the way of a fork.
        environment = os.environ | {"PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        command = [
            sys.executable,
            "-m",
            "shared.audio.walls.process",
            str(theirs.fileno()),
            str(self._count),
            str(self._niceness),
        ]
        with theirs:
            process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
            )
        with self._lock:
            self._socket, self._process = ours, process
            self._send_next()

    def _run(self) -> None:
        """Hear from the process; when it is gone, start another one."""
        while True:
            self._listen()
            with self._lock:
                if self._socket is not None:
                    self._socket.close()
                self._socket = None
                self._after_the_end()
                if self._is_closed:
                    return
            assert self._process is not None
            self._process.kill()
            _LOG.warning("readers_died", exit_code=self._process.wait())
            time.sleep(RESTART_SECONDS)
            if self._is_closed:
                return
            self._launch()

    def _after_the_end(self) -> None:
        """Orders of a process that is gone wait for the next one. That was not their doing, unless it happens again."""
        for reading in list(self._under_way.values()):
            del self._under_way[reading.order.number]
            reading.pid = None
            if reading.tries < MOST_TRIES and not self._is_closed:
                self._waiting.appendleft(reading)
            else:
                self._conclude(reading, ReadersUnavailable("The audio could not be looked at right now; try again."))
        while self._is_closed and self._waiting:
            self._conclude(self._waiting.popleft(), ReadersUnavailable("This process is about to end; try again."))

    def _listen(self) -> None:
        """Until the process is gone, or says what cannot be understood."""
        assert self._socket is not None
        with suppress(OSError, ValidationError):
            while message := self._socket.recv(MESSAGE_BYTES):
                if message.startswith(b'{"died_pid"'):
                    self._died(Died.model_validate_json(message))
                else:
                    self._told(Told.model_validate_json(message))

    def _told(self, told: Told) -> None:
        with self._lock:
            reading = self._under_way.get(told.number)
            if reading is None:
                return
            if told.began_pid is not None:
                reading.pid = told.began_pid
                if reading.is_withdrawn:
                    with suppress(ProcessLookupError):
                        os.kill(told.began_pid, signal.SIGKILL)
                return
            self._conclude(reading, told if told.exhausted is None else _harmful(told.exhausted, will_again=True))
            self._send_next()

    def _died(self, died: Died) -> None:
        """A reader is gone without an answer: the order that it had begun; or, if it had not said so yet, the oldest of those."""
        with self._lock:
            under_way = self._under_way.values()
            reading = next((r for r in under_way if r.pid == died.died_pid), None)
            reading = reading or next((r for r in under_way if r.pid is None), None)
            if reading is None:
                return
            if not reading.is_withdrawn:
                _LOG.warning("reader_died", cause=died.cause, size_bytes=reading.order.size_bytes, task=reading.order.task.value)
            self._conclude(reading, _harmful(died.cause, will_again=died.cause in _THE_FILES_FAULT))
            self._send_next()

    def _conclude(self, reading: Reading, outcome: Told | FleetError) -> None:
        self._under_way.pop(reading.order.number, None)
        reading.file.close()
        # Whoever waited may have given up.
        with suppress(InvalidStateError):
            if isinstance(outcome, FleetError):
                reading.result.set_exception(outcome)
            else:
                reading.result.set_result(outcome)


def info_from(told: Told) -> AudioInfo:
    """What a probe has found. Raises the errors of audio."""
    complain(told)
    assert told.info is not None
    return told.info


def complain(told: Told) -> None:
    """Raises the error that a reader has answered with, if it has."""
    if told.error_code is not None:
        raise _BY_CODE.get(told.error_code, MalformedAudio)(told.message)


def _harmful(cause: str, *, will_again: bool) -> HarmfulAudio:
    return HarmfulAudio(
        "The file cannot be read: it is damaged in a way that breaks or exhausts its reader. Export it again and resubmit.",
        cause=cause,
        will_again=will_again,
    )
