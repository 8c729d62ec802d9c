"""Keeps one working model process: loads it, replaces it when it dies or has grown old, and knows when to give up."""

import time
from collections.abc import Callable

from shared.logs import get_logger
from shared.settings import WorkerSettings
from worker.chosen_engine import chosen_engine
from worker.messages import Able, Canary, FromModel, FromSupervisor, Ready, Unable
from worker.process_memory import available_bytes, resident_bytes
from worker.supervising.model_handle import ModelDied, ModelHandle

#: After this many model processes in a row that died while loading, the model counts as impossible to load.
LOAD_TRIES = 3
#: Pause before a respawn. It doubles with each process that dies soon after its start without having ended a job.
FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS = 0.1, 10.0
#: A process that lived this long was healthy: the next respawn is quick again.
HEALTHY_SECONDS = 60.0
#: A canary may take as long as loading did (loading includes a canary), and this much more.
CANARY_PATIENCE_SECONDS = 10.0

_LOG = get_logger(__name__)


class ModelKeeper:
    """The supervisor's view of its model. Messages and deaths of the processes arrive through `deliver`, from threads."""

    def __init__(self, settings: WorkerSettings, deliver: Callable[[FromModel | ModelDied], None]) -> None:
        self._settings, self._deliver = settings, deliver
        self._engine = chosen_engine(settings)
        self._current: ModelHandle | None = None
        self._successor: ModelHandle | None = None
        self._successor_ready: Ready | None = None
        self.ready: Ready | None = None
        self._generation = self._failed_loads = self._jobs_done = 0
        self._started_at = self._successor_started_at = self._respawn_at = 0.0
        self._start_seconds = self._successor_start_seconds = 0.0
        self._backoff_seconds = FIRST_BACKOFF_SECONDS
        self._dying = False
        self._proved_at = 0.0
        self._asked_at: float | None = None

    @property
    def has_room(self) -> bool:
        """Whether a job may be sent: a model is ready, not being tested, and not waiting to be replaced when it is idle."""
        able = self.ready is not None and not self._dying and self._asked_at is None
        return able and not self._successor_ready and not (self._grown_old() and not self._room_for_two())

    @property
    def stop_patience_seconds(self) -> float:
        """How long a cancelled decode that is alone may take to stop before its process is killed.

        At least as long as the process took to start: a kill costs another start, so to wait that long costs no more. But never
        longer than `no_progress_timeout_seconds`.
        """
        patience = max(self._settings.cancel_grace_seconds, self._start_seconds)
        return min(patience, self._settings.no_progress_timeout_seconds)

    def send(self, message: FromSupervisor) -> None:
        """Send a message to the current process, if there is one."""
        if self._current is not None:
            self._current.send(message)

    def kill(self, why: str) -> None:
        """Kill the current process. Its death arrives as an event."""
        if self._current is not None:
            _LOG.info("model_killed", why=why, pid=self._current.pid)
            self._current.kill()
            self._dying = True

    def close(self, timeout_seconds: float) -> None:
        """Kill both processes, and wait until each is gone, for `timeout_seconds` at most."""
        for handle in (self._current, self._successor):
            if handle is not None:
                handle.close(timeout_seconds)

    def became_ready(self, event: Ready) -> bool:
        """Note that a process is loaded. True if it is the current one; a successor waits until the current one is idle."""
        began = self._successor_started_at if self._successor is not None else self._started_at
        start_seconds = time.monotonic() - began
        _LOG.info(
            "model_ready",
            model=event.model,
            revision=event.revision,
            device=event.device,
            encoder=event.encoder.name,
            encoder_precision=event.encoder.precision,
            load_seconds=round(event.load_seconds, 3),
            start_seconds=round(start_seconds, 3),
        )
        if self._successor is not None:
            self._successor_ready, self._successor_start_seconds = event, start_seconds
            return False
        self.ready, self._failed_loads, self._dying = event, 0, False
        self._start_seconds = start_seconds
        self.proved()
        return True

    def canary_answered(self, event: Able | Unable) -> None:
        """Note the answer to a canary. If it failed, kill the current process: a fresh one replaces it, whatever the cause."""
        if isinstance(event, Unable):
            _LOG.warning("canary_failed", reason=event.reason)
            self.kill("the canary failed")
        else:
            self.proved()

    def proved(self) -> None:
        """Note that the current process has just shown that it can decode."""
        self._proved_at, self._asked_at = time.monotonic(), None

    def died(self, event: ModelDied) -> bool:
        """Note the death of a process. True if it was the current one; then `tick` starts the next one."""
        if self._successor is not None and event.generation == self._successor.generation:
            self._successor = self._successor_ready = None
            self._respawn_at = time.monotonic() + LONGEST_BACKOFF_SECONDS
        if self._current is None or event.generation != self._current.generation:
            return False
        now = time.monotonic()
        self._failed_loads += 0 if self.ready else 1
        # A process that ended a job was healthy. Back off only for others, so that they are not respawned in a storm.
        healthy = self._jobs_done > 0 or now - self._started_at > HEALTHY_SECONDS
        self._backoff_seconds = FIRST_BACKOFF_SECONDS if healthy else min(LONGEST_BACKOFF_SECONDS, 2 * self._backoff_seconds)
        # If the supervisor killed the process, start the next one at once.
        self._respawn_at = now if self._dying else now + self._backoff_seconds
        self._current = self.ready = self._asked_at = None
        self._dying = False
        return True

    def unable(self) -> str | None:
        """Why no model will ever be ready in this worker; None while one may be."""
        if self._failed_loads >= LOAD_TRIES:
            return f"the model process died while loading, {self._failed_loads} times"
        loading = self._current is not None and self.ready is None
        if loading and self._overdue(self._started_at):
            return f"not ready after {self._settings.model_load_timeout:.0f} s"
        return None

    def job_done(self) -> None:
        """Note that the current process ended another job, well or not."""
        self._jobs_done += 1
        self.proved()

    def tick(self, idle: bool) -> None:
        """Take the next step that is due. `idle`: no job is decoding.

        Start the first process, a respawn after a death, or the successor of a process that has grown old; kill a successor that
        is not ready in time; swap a ready successor in; test an idle process with a canary.
        """
        if self._successor is not None and self._successor_ready is None and self._overdue(self._successor_started_at):
            _LOG.error("successor_killed", why="not ready in time")
            self._successor.kill()
        if self._current is None and self._successor is None:
            if time.monotonic() >= self._respawn_at:
                self._current, self._started_at = self._spawn(), time.monotonic()
        elif self._successor is None and self.ready is not None and not self._dying and self._grown_old():
            if time.monotonic() >= self._respawn_at:
                self._recycle(idle)
        elif self._successor_ready is not None and (idle or self._current is None):
            self._swap()
        elif idle:
            self._test_canary()

    def rss_bytes(self) -> int:
        """Resident memory of the current process; 0 when unknown."""
        pid = self._current.pid if self._current is not None else None
        return resident_bytes(pid) if pid else 0

    def _test_canary(self) -> None:
        """Ask an idle process that has decoded nothing for a while for a canary. Kill it if it does not answer in time."""
        every, now = self._settings.canary_seconds, time.monotonic()
        if self.ready is None or self._dying:
            return
        if self._asked_at is not None:
            if now - self._asked_at > CANARY_PATIENCE_SECONDS + self.ready.load_seconds:
                self.kill("the canary was not answered")
        elif 0 < every < now - self._proved_at:
            self._asked_at = now
            self.send(Canary())

    def _overdue(self, started_at: float) -> bool:
        return time.monotonic() - started_at > self._settings.model_load_timeout

    def _recycle(self, idle: bool) -> None:
        """Load a successor beside the old process if memory allows. Else kill the old process as soon as it is idle."""
        if self._room_for_two():
            _LOG.info("model_recycling", jobs=self._jobs_done, rss_bytes=self.rss_bytes())
            self._successor, self._successor_started_at = self._spawn(), time.monotonic()
        elif idle and self._current is not None:
            _LOG.info("model_recycling", jobs=self._jobs_done, rss_bytes=self.rss_bytes(), note="no memory for two")
            self._current.kill()
            self._current = self.ready = None

    def _swap(self) -> None:
        if self._current is not None:
            self._current.kill()
        self._current, self.ready = self._successor, self._successor_ready
        self._successor = self._successor_ready = None
        self._started_at, self._dying, self._jobs_done = self._successor_started_at, False, 0
        self._start_seconds = self._successor_start_seconds
        self.proved()

    def _grown_old(self) -> bool:
        settings = self._settings
        if self._jobs_done == 0:
            return False
        too_many = 0 < settings.recycle_after_jobs <= self._jobs_done
        return too_many or 0 < settings.recycle_above_rss_mb * 1_000_000 < self.rss_bytes()

    def _room_for_two(self) -> bool:
        """Whether memory allows a second model process. On a GPU never: how much GPU memory it would need is unknown here."""
        on_cpu = self.ready is not None and self.ready.device == "cpu"
        return on_cpu and available_bytes() > 1.2 * self.rss_bytes()

    def _spawn(self) -> ModelHandle:
        self._generation += 1
        self._jobs_done = self._jobs_done if self._current is not None else 0
        return ModelHandle(self._engine, self._generation, self._deliver)
