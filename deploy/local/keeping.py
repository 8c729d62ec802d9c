"""Services that are kept running: one that dies is started again, while the others go on; none outlives us, however we end."""

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

#: Before a service that died is started again: first, and at most. One that ran for a while begins anew.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, WELL_AFTER_SECONDS = 0.5, 15.0, 30.0
#: Exit codes that no restart mends: wrong settings, and a model that cannot be loaded.
HOPELESS = frozenset({2, 78})
TICK_SECONDS = 0.1


@dataclass(kw_only=True)
class Service:
    """A process and how it is to run."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    #: Descriptors that it inherits.
    pass_fds: Sequence[int] = ()
    #: After SIGTERM, until it is killed.
    patience_seconds: float = 10.0
    process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)
    _pause_seconds: float = field(default=FIRST_PAUSE_SECONDS, init=False)
    _started_at: float = field(default=0.0, init=False)
    _due_at: float = field(default=0.0, init=False)
    _is_asked: bool = field(default=False, init=False)

    def tend(self, output: Output) -> None:
        """Start it if it is due, and notice its end. Raises `ProcessEnded` when there is no hope.

        To be called from the main thread: the kernel ends a service with the thread that has started it.
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
            preexec_fn=dying_with_parent(),  # noqa: PLW1509 - it only asks the kernel for something
        )
        self._started_at = now
        threading.Thread(target=_pass_on, args=(self.name, self.process, output), daemon=True).start()

    def ask_to_stop(self) -> None:
        """SIGTERM, if it runs. Once: a second one would be taken for impatience."""
        if self.process is not None and self.process.poll() is None and not self._is_asked:
            self._is_asked = True
            self.process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """Until it is gone, and all that it has started."""
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
    """Keeps services running until told to stop. They are stopped in the order in which they are named, the last ones last."""

    def __init__(self, services: Sequence[Service], output: Output) -> None:
        self._services, self._output = services, output

    def run(self, each_turn: Callable[[], None]) -> None:
        """Until the main thread is interrupted or nobody reads our output. Raises `ProcessEnded` when there is no hope."""
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
    """A service's lines, until it closes its end. They are read also when nobody wants them: it must not block."""
    assert process.stdout is not None
    with process.stdout as lines:
        for line in lines:
            output.line(name, line.decode(errors="replace").rstrip("\r\n"))


def _told(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
