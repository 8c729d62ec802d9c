"""Keeps services running: a service that dies is started again while the others go on.

No service outlives this process. On Linux that holds even if this process is killed.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from deploy.local.output import Output
from deploy.local.processes import ROOT, ProcessEnded, dying_with_parent

#: The pause before a dead service is started again: the first one and the longest one. The pause doubles at each death. It is
#: back at the first one when the service has run for WELL_AFTER_SECONDS.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, WELL_AFTER_SECONDS = 0.5, 15.0, 30.0
#: Exit codes after which a restart cannot help: 2 for wrong settings, 78 for a model that cannot be loaded.
HOPELESS = frozenset({2, 78})
TICK_SECONDS = 0.1


@dataclass(kw_only=True)
class Service:
    """A process that is to be kept running, and how."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    #: File descriptors that the process inherits.
    pass_fds: Sequence[int] = ()
    #: How long the process may take to end after SIGTERM before it is killed.
    patience_seconds: float = 10.0
    process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)
    _pause_seconds: float = field(default=FIRST_PAUSE_SECONDS, init=False)
    _started_at: float = field(default=0.0, init=False)
    _due_at: float = field(default=0.0, init=False)
    _is_asked: bool = field(default=False, init=False)

    def tend(self, output: Output) -> None:
        """Start the service if it is due, and notice when it has ended.

        Raises `ProcessEnded` when a restart cannot help. Call it from the main thread: the kernel ends a service together with
        the thread that started it.
        """
        now = time.monotonic()
        if self.process is None:
            if now >= self._due_at:
                self._start(output, now)
            return
        code = self.process.poll()
        if code is None:
            return
        if code in HOPELESS:
            raise ProcessEnded(f"{self.name} cannot run (exit code {code}); its last lines say why.")
        if now - self._started_at > WELL_AFTER_SECONDS:
            self._pause_seconds = FIRST_PAUSE_SECONDS
        output.say(f"{self.name} ended ({_told(code)}); it is started again in {self._pause_seconds:g} s.")
        self.process, self._due_at = None, now + self._pause_seconds
        self._pause_seconds = min(LONGEST_PAUSE_SECONDS, 2 * self._pause_seconds)

    def _start(self, output: Output, now: float) -> None:
        self.process = subprocess.Popen(
            list(self.command),
            cwd=ROOT,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=tuple(self.pass_fds),
            preexec_fn=dying_with_parent(),  # noqa: PLW1509 - it only makes one system call
        )
        self._started_at = now
        threading.Thread(target=_pass_on, args=(self.name, self.process, output), daemon=True).start()

    def ask_to_stop(self) -> None:
        """Send SIGTERM if the service runs, but only once: a service may take a second one as a request to end at once."""
        if self.process is not None and self.process.poll() is None and not self._is_asked:
            self._is_asked = True
            self.process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """Stop the service and wait until it is gone. After `patience_seconds` its whole process group is killed."""
        if self.process is None:
            return
        self.ask_to_stop()
        try:
            self.process.wait(self.patience_seconds)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Keeper:
    """Keeps services running until told to stop.

    To stop, it sends SIGTERM to all services but the last and waits for them in order. Then it stops the last one, so that the
    service on which the others depend (Redis) goes last.
    """

    def __init__(self, services: Sequence[Service], output: Output) -> None:
        self._services, self._output = services, output

    def run(self, each_turn: Callable[[], None]) -> None:
        """Run until the main thread is interrupted or the reader of our output is gone. Calls `each_turn` at every look.

        Raises `ProcessEnded` when a service has ended and a restart cannot help.
        """
        try:
            while not self._output.is_closed:
                for service in self._services:
                    service.tend(self._output)
                each_turn()
                self._output.notice_end()
                time.sleep(TICK_SECONDS)
        finally:
            for service in self._services[:-1]:
                service.ask_to_stop()
            for service in self._services:
                service.stop()


def _pass_on(name: str, process: "subprocess.Popen[bytes]", output: Output) -> None:
    """Pass on a service's lines until it closes its end of the pipe.

    Keep reading even when the output is closed: a service whose pipe is full would block.
    """
    assert process.stdout is not None
    with process.stdout as lines:
        for line in lines:
            output.line(name, line.decode(errors="replace").rstrip("\r\n"))


def _told(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
