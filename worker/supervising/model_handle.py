"""The supervisor's end of a model process: start it, send to it without ever blocking, kill it, learn how it died."""

import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from queue import SimpleQueue

from shared.logs import get_logger
from worker.engine_settings import EngineSettings
from worker.messages import FromModel, FromSupervisor
from worker.model import entry
from worker.process_memory import resident_bytes

NOTE_MEMORY_SECONDS = 0.5
#: A process that has closed its end of the pipe has this long to go by itself.
LEAVE_SECONDS = 10.0

_LOG = get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class ModelDied:
    """A model process is gone. `cause` is for people: `SIGSEGV`, or `exit code 3`. `rss_bytes`: the memory that it last held."""

    generation: int
    cause: str
    rss_bytes: int


class ModelHandle:
    """One model process. A thread of the supervisor passes its messages, and finally its death, to `deliver`."""

    def __init__(self, settings: EngineSettings, generation: int, deliver: Callable[[FromModel | ModelDied], None]) -> None:
        self.generation = generation
        self._rss_bytes, self._noted_at = 0, float("-inf")
        self._deliver = deliver
        self._outbox: SimpleQueue[FromSupervisor | None] = SimpleQueue()
        # Spawned, not forked: neither CUDA nor CTranslate2's threads survive a fork.
        context = get_context("spawn")
        self._pipe, child_end = context.Pipe()
        self._process = context.Process(target=entry.run, args=(child_end, settings), name="model", daemon=True)
        self._process.start()
        child_end.close()
        for target in (self._read, self._write):
            threading.Thread(target=target, args=(self._pipe,), daemon=True).start()

    @property
    def pid(self) -> int | None:
        return self._process.pid

    def send(self, message: FromSupervisor) -> None:
        """Queue a message. A process that does not read cannot block the supervisor."""
        self._outbox.put(message)

    def kill(self) -> None:
        """Kill the process at once, even within native code. `ModelDied` follows."""
        self._process.kill()

    def close(self, timeout_seconds: float) -> None:
        """Kill the process and wait until it is gone, for `timeout_seconds` at most."""
        self.kill()
        self._process.join(timeout_seconds)

    def _read(self, pipe: Connection) -> None:
        """Read until the pipe ends. However the reading ends, the process is ended and `ModelDied` is delivered."""
        try:
            self._receive(pipe)
            self._process.join(LEAVE_SECONDS)
        except Exception as error:  # noqa: BLE001 - after any error the death must be delivered
            # A message could not be read, or there was no memory for it: from now on messages may be lost.
            _LOG.error("model_not_understood", error=type(error).__name__, pid=self.pid)
        finally:
            self._bury()

    def _receive(self, pipe: Connection) -> None:
        with suppress(EOFError, OSError):
            while True:
                self._deliver(pipe.recv())
                self._note_memory()

    def _bury(self) -> None:
        """End the process if it still runs, since its messages are no longer read. Deliver its death in any case."""
        try:
            self.close(timeout_seconds=LEAVE_SECONDS)
        finally:
            self._outbox.put(None)
            cause = _cause(self._process.exitcode)
            self._deliver(ModelDied(generation=self.generation, cause=cause, rss_bytes=self._rss_bytes))

    def _note_memory(self) -> None:
        """Note the process's memory while it lives, since it cannot be read after its death.

        At most every `NOTE_MEMORY_SECONDS`: to do it after every message would delay the messages.
        """
        now = time.monotonic()
        if now - self._noted_at > NOTE_MEMORY_SECONDS:
            self._noted_at = now
            self._rss_bytes = resident_bytes(self._process.pid or 0) or self._rss_bytes

    def _write(self, pipe: Connection) -> None:
        while (message := self._outbox.get()) is not None:
            try:
                pipe.send(message)
            except OSError:
                return


def _cause(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        try:
            return signal.Signals(-exit_code).name
        except ValueError:
            return f"signal {-exit_code}"
    return f"exit code {exit_code}"
