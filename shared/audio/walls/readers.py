"""The interface through which gateways and model processes have a file read. They never load FFmpeg themselves."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from shared.audio.report import AudioInfo
from shared.audio.request import Wanted
from shared.audio.walls.limits import Limits, decode_limits, probe_limits
from shared.audio.walls.messages import MESSAGE_BYTES, Died, Order, Task, Told
from shared.audio.walls.schedule import Errand, Schedule
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
#: How much the niceness of readers in slower lanes is raised, while there is a crowd. Without a crowd it stays: they would take
#: long on a busy machine. With 10 instead, clips wait a third longer beside a crowd of hostile files.
SLOWER_NICENESS = 13
#: How many tries a file gets in all, if its reader or the process that keeps readers is ended from outside.
MOST_TRIES = 2
#: Seconds between looks at the errands: as a rule, and while one is under way that may have to leave its lane.
LOOK_SECONDS, LOOK_SOON_SECONDS = 0.1, 0.003
RESTART_SECONDS = 0.2
#: Readers that stand ready on top of those that may be busy, so that the next file need not wait for a fork.
SPARE_READERS = 4
_ERRORS: Sequence[type[FleetError]] = (EmptyAudio, NotAudio, MalformedAudio, UnsupportedAudio, AudioTooLong)
_BY_CODE = {error.code: error for error in _ERRORS}
#: Causes of death that are the file's fault and would occur again. Time by the clock (SIGALRM) may be the machine's fault.
_THE_FILES_FAULT = frozenset({"SIGPROF", "SIGXCPU", "SIGSEGV", "SIGBUS", "SIGABRT", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS"})
#: Environment variables that the keeper of readers gets. It must not see addresses and keys.
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "HOME", "VIRTUAL_ENV", "SYSTEMROOT")

_LOG = get_logger(__name__)


class Readers:
    """A process with some readers, beside this one. Safe for use from several threads."""

    def __init__(self, quick: int, niceness: int, lanes_seconds: Sequence[float]) -> None:
        """`quick`: how many files may be read at once in each lane but the last; `lanes_seconds`: for how long."""
        self._schedule, self._niceness = Schedule(lanes_seconds, quick), niceness
        self._lock = threading.Lock()
        self._number = 0
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._is_closed = False

    def start(self) -> None:
        """Start the process, and the thread that receives its messages."""
        self._launch()
        threading.Thread(target=self._run, name="readers", daemon=True).start()

    def close(self) -> None:
        """End the process. Errands under way fail with `ReadersUnavailable`."""
        with self._lock:
            self._is_closed = True
            if self._socket is not None:
                # Both directions: this wakes the listening thread and the readers.
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(2.0)
            self._process.kill()
            self._process.wait()

    def probe(self, file: SharedFile, *, track: int | None, max_seconds: float) -> Errand:
        """Probe a file: pass the errand's result to `info_from`. The readers own the file from now on."""
        wanted = Wanted(max_seconds=max_seconds, track=track)
        return self._submit(Task.PROBE, file, wanted, probe_limits(file.size_bytes))

    def decode(self, file: SharedFile, wanted: Wanted, seconds: float, buffer: SharedBuffer) -> Errand:
        """Decode the first `seconds` of a file into a buffer. The readers own the file from now on. Callers use `decodes`."""
        return self._submit(Task.DECODE, file, wanted, decode_limits(file.size_bytes, seconds), buffer)

    def withdraw(self, errand: Errand) -> None:
        """Give an errand up. Its reader is ended only in the last lane: a quicker one may already have another errand."""
        with self._lock:
            if self._schedule.abandon(errand):
                _end(errand.pid)
            errand.conclude(ReadersUnavailable("Withdrawn."))
            self._send_next()

    def _submit(self, task: Task, file: SharedFile, wanted: Wanted, limits: Limits, buffer: SharedBuffer | None = None) -> Errand:
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
            errand = Errand(order, file, buffer)
            if self._schedule.is_full or self._is_closed:
                errand.conclude(ReadersUnavailable("Too many files are being looked at; try again in a moment."))
            else:
                self._schedule.add(errand)
                self._send_next()
        return errand

    def _send_next(self) -> None:
        """Send as many orders as there are free readers. No order waits in the socket, from which it could not be taken back."""
        while self._socket is not None and (errand := self._schedule.begin_next()):
            try:
                message = errand.order.model_dump_json().encode()
                socket.send_fds(self._socket, [message], errand.descriptors(), socket.MSG_DONTWAIT)
            except OSError:
                # The socket is full, or the process is gone; the listening thread is about to notice.
                errand.tries -= 1
                self._schedule.put_back(errand)
                return

    def _launch(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        arguments = (theirs.fileno(), self._schedule.readers + SPARE_READERS, self._niceness)
        command = [sys.executable, "-m", "shared.audio.walls.process", *map(str, arguments)]
        with theirs:
            process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        with self._lock:
            self._socket, self._process = ours, process
            self._send_next()

    def _run(self) -> None:
        """Receive the process's messages; when it is gone, start another one."""
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
            self._launch_again()

    def _launch_again(self) -> None:
        """Start the process as soon as the machine allows it."""
        while not self._is_closed and self._socket is None:
            time.sleep(RESTART_SECONDS)
            try:
                self._launch()
            except OSError as error:
                _LOG.error("readers_cannot_start", error=type(error).__name__)

    def _after_the_end(self) -> None:
        """Let the orders of a process that is gone wait for the next one. The file is not at fault, unless it happens again."""
        for errand in self._schedule.all():
            if self._is_closed:
                self._conclude(errand, ReadersUnavailable("This process is about to end; try again."))
            elif errand.is_abandoned:
                self._schedule.drop(errand)
            elif errand.order.number in self._schedule.under_way:
                self._try_again(errand)

    def _try_again(self, errand: Errand) -> None:
        if errand.tries < MOST_TRIES:
            self._schedule.put_back(errand)
        else:
            self._conclude(errand, ReadersUnavailable("The audio could not be looked at right now; try again."))

    def _listen(self) -> None:
        """Receive until the process is gone or sends a message that cannot be parsed."""
        assert self._socket is not None
        with suppress(OSError, ValidationError):
            while True:
                self._socket.settimeout(LOOK_SOON_SECONDS if self._schedule.has_to_look_soon else LOOK_SECONDS)
                try:
                    message = self._socket.recv(MESSAGE_BYTES)
                except TimeoutError:
                    self._look_about()
                    continue
                if not message:
                    return
                with self._lock:
                    if message.startswith(b'{"died_pid"'):
                        self._died(Died.model_validate_json(message))
                    else:
                        self._told(Told.model_validate_json(message))
                    self._send_next()
                self._look_about()

    def _look_about(self) -> None:
        """Make room for quick errands behind slow ones, and give orders that were lost with an idle reader to another one."""
        with self._lock:
            for errand in self._schedule.lost():
                errand.tries -= 1
                self._schedule.put_back(errand)
            for errand in self._schedule.move_on(_cpu_seconds):
                _end(errand.pid)
                self._schedule.put_off(errand)
            for errand in self._schedule.giving_way():
                with suppress(OSError):
                    # Only root can undo this: the reader ends after this errand.
                    os.setpriority(os.PRIO_PROCESS, errand.pid or 0, self._niceness + SLOWER_NICENESS)
            self._send_next()

    def _told(self, told: Told) -> None:
        errand = self._schedule.under_way.get(told.number)
        if told.began_pid is not None:
            if errand is None:
                # The errand was withdrawn while its order was on the way.
                _end(told.began_pid)
            else:
                errand.pid, errand.began_cpu_seconds = told.began_pid, _cpu_seconds(told.began_pid)
        elif errand is not None and errand.is_abandoned:
            self._schedule.drop(errand)
        elif errand is not None:
            self._conclude(
                errand, told if told.exhausted is None else _harmful(told.exhausted, will_again=told.exhausted == "memory")
            )

    def _died(self, died: Died) -> None:
        """Handle a reader's death. It is no loss if the reader had no errand, or one that was given up."""
        errand = next((one for one in self._schedule.under_way.values() if one.pid == died.died_pid), None)
        if errand is None:
            return
        if errand.is_abandoned:
            self._schedule.drop(errand)
            return
        _LOG.warning("reader_died", cause=died.cause, size_bytes=errand.order.size_bytes, task=errand.order.task.value)
        if died.cause == signal.SIGKILL.name and errand.tries < MOST_TRIES:
            # Another process, or a kernel without memory, ended the reader: the file may be innocent.
            self._schedule.slow_down(errand)
        else:
            self._conclude(errand, _harmful(died.cause, died.cause in _THE_FILES_FAULT))

    def _conclude(self, errand: Errand, outcome: Told | FleetError) -> None:
        self._schedule.drop(errand)
        errand.conclude(outcome)


def info_from(told: Told) -> AudioInfo:
    """The result of a probe. Raises the errors of audio."""
    complain(told)
    assert told.info is not None
    return told.info


def complain(told: Told) -> None:
    """Raises the error of audio that a reader answered with, if it did."""
    if told.error_code is not None:
        raise _BY_CODE.get(told.error_code, MalformedAudio)(told.message)


def _harmful(cause: str, will_again: bool) -> HarmfulAudio:
    return HarmfulAudio(
        "The file cannot be read: it is damaged in a way that breaks or exhausts its reader. Export it again and resubmit.",
        cause=cause,
        will_again=will_again,
    )


def _cpu_seconds(pid: int) -> float:
    """Processor seconds that a process has used; 0 once it is gone."""
    try:
        # The CPU clock of a process, as clock_getcpuclockid(3) makes it: exact, while /proc counts in hundredths of a second.
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return 0.0


def _end(pid: int | None) -> None:
    """End a reader. Another one takes its place."""
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _environment() -> dict[str, str]:
    """The environment of the process. Numpy gets one thread: its own threads would only get in the way of a fork."""
    path = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH", "")) if part)
    inherited = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    return inherited | {"PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
