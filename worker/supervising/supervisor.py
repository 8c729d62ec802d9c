"""The supervisor: one loop that claims jobs, keeps their leases, watches the model process and writes results back.

The loop never waits for a decode. It gets everything as an event from one inbox: messages of the model process, its death,
rings of the bell, withdrawn jobs, signals. Between events it ticks: beat, publish progress, write results.
"""

import signal
import time
from queue import Empty

from redis import RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.jobs.job import JobError
from shared.logs import get_logger
from shared.settings import WorkerSettings
from worker.messages import (
    Able,
    CannotLoad,
    CutDone,
    CutPiece,
    Done,
    Failed,
    Moved,
    Progress,
    Ready,
    Stop,
    Stopped,
    Unable,
)
from worker.queue.assembly import QueueSide
from worker.queue.bell import Bell, Rang
from worker.queue.withdrawals import Withdrawals, Withdrawn
from worker.supervising.decodes import Decode, DecodeResult
from worker.supervising.in_flight import InFlight
from worker.supervising.inbox import Event, Inbox, StopAsked
from worker.supervising.intake import Intake
from worker.supervising.model_handle import ModelDied
from worker.supervising.model_keeper import ModelKeeper
from worker.supervising.presence import Presence

TICK_SECONDS = 0.1
#: Exit codes: stopped as asked; the model cannot be loaded (EX_CONFIG of sysexits.h: a restart will not help).
EXIT_OK, EXIT_CANNOT_LOAD = 0, 78

_LOG = get_logger(__name__)


class Supervisor:
    """Runs the loop until the worker is told to stop. `run` returns the exit code."""

    def __init__(
        self, settings: WorkerSettings, queue: QueueSide, presence: Presence, bell: Bell, withdrawals: Withdrawals
    ) -> None:
        self._settings, self._presence, self._bell, self._withdrawals = settings, presence, bell, withdrawals
        self._inbox = Inbox()
        self._in_flight = InFlight(queue.leases, queue.leases.master)
        self._model = ModelKeeper(settings, self._inbox.put)
        self._intake = Intake(settings, queue, self._in_flight, self._model, bell)
        self._stops_asked = 0
        self._ticked_at, self._drain_until = float("-inf"), float("inf")
        self._exit_code: int | None = None

    def run(self) -> int:
        """Claim and transcribe until SIGTERM or SIGINT, or until the model proves unable to load."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._inbox.put(StopAsked()))
        self._bell.start(self._inbox.put)
        self._withdrawals.start(self._inbox.put)
        try:
            while self._exit_code is None:
                try:
                    self._handle(self._inbox.get(TICK_SECONDS))
                except Empty:
                    pass
                self._tick_if_due()
        finally:
            # Also after an unforeseen error: a model process must not outlive its supervisor.
            self._leave()
        return self._exit_code

    # -- events ---------------------------------------------------------------------------------------------------

    def _handle(self, event: Event) -> None:
        match event:
            case Rang():
                self._intake.claim()
            case Withdrawn():
                self._withdrawn(event)
            case Progress() | Moved() | CutPiece() | CutDone() | Done() | Failed() | Stopped():
                self._decoding(event)
            case Able() | Unable():
                self._model.canary_answered(event)
                self._intake.claim()
            case Ready():
                self._became_ready(event)
            case CannotLoad():
                self._cannot_load(event.reason)
            case ModelDied():
                self._model_died(event)
            case StopAsked():
                self._stop_asked()

    def _decoding(self, event: Progress | Moved | CutPiece | CutDone | Done | Failed | Stopped) -> None:
        match event:
            case Progress() | Moved():
                self._in_flight.progress(event)
            case CutPiece():
                self._in_flight.put_piece(event)
            case CutDone():
                self._intake.cut(event)
            case Done() | Failed():
                self._ended(event)
            case Stopped():
                self._in_flight.forget(event.attempt_id)
                self._intake.claim()

    def _withdrawn(self, event: Withdrawn) -> None:
        if event.attempt_id is None:
            self._presence.beat_soon()
        elif decode := self._in_flight.our(event.attempt_id):
            self._give_up(decode)

    def _ended(self, event: Done | Failed) -> None:
        """Conclude a decode that succeeded or failed."""
        self._model.job_done()
        if isinstance(event, Done):
            result = DecodeResult(transcript=event.transcript)
            self._presence.decoded(event.transcript)
        else:
            error = JobError(code=event.code, message=event.message, retryable=event.retryable)
            result = DecodeResult(error=error, is_unreadable=event.is_unreadable)
            self._presence.failed()
        self._in_flight.conclude(event.attempt_id, result)
        self._intake.go_on()

    def _became_ready(self, event: Ready) -> None:
        if not self._model.became_ready(event):
            return
        self._presence.ready(event)
        self._intake.claim()

    def _cannot_load(self, reason: str) -> None:
        """End this worker, unless it has a ready model and only the successor of that model failed to load."""
        if self._model.ready is not None:
            _LOG.error("successor_cannot_load", reason=reason)
            return
        _LOG.error(
            "model_cannot_load",
            model=self._settings.whisper_model,
            reason=reason,
            hint="check WHISPER_MODEL, WHISPER_DEVICE and WHISPER_COMPUTE_TYPE",
        )
        self._exit_code = EXIT_CANNOT_LOAD

    def _model_died(self, event: ModelDied) -> None:
        if not self._model.died(event):
            return
        self._presence.loading()
        _LOG.warning("model_died", cause=event.cause, rss_bytes=event.rss_bytes, jobs=self._in_flight.ids())
        # With several jobs in flight the cause is unknown: the attempt counts for each, and each has its next attempt alone.
        others = len(self._in_flight.decodes) - 1
        beside = f" beside {others} others" if others > 0 else ""
        message = (
            f"The model process died ({event.cause}, {event.rss_bytes // 1_000_000} MB) while it decoded this audio{beside}."
        )
        self._in_flight.abandon(JobError(code="poison_job", message=message, retryable=True))

    def _stop_asked(self) -> None:
        self._stops_asked += 1
        self._intake.close()
        grace = self._settings.drain_seconds if self._stops_asked == 1 else 0.0
        self._drain_until = time.monotonic() + grace
        self._presence.draining()
        _LOG.info("draining", jobs=self._in_flight.ids(), grace_seconds=grace)

    # -- steps ----------------------------------------------------------------------------------------------------

    def _tick_if_due(self) -> None:
        """Tick every `TICK_SECONDS`, not after every event: a job causes several events, and a tick would delay it each time."""
        now = time.monotonic()
        if now - self._ticked_at >= TICK_SECONDS:
            self._ticked_at = now
            self._tick(now)

    def _tick(self, now: float) -> None:
        # Leases come first. After a step that Redis refused (a full Redis refuses some), the next steps are still tried; after a
        # lost connection they would fail, too.
        for step in (self._beat, self._publish, self._in_flight.write_back.write):
            try:
                step()
            except RedisError as error:
                _LOG.warning("store_away", step=step.__name__, error=type(error).__name__)
                self._presence.postpone_sweep()
                if isinstance(error, RedisConnectionError | RedisTimeoutError):
                    break
        self._end_overdue(now)
        self._keep_model()
        self._intake.look(now)
        if self._stops_asked and (not self._in_flight.busy or now >= self._drain_until):
            self._exit_code = EXIT_OK

    def _beat(self) -> None:
        heard = self._presence.beat(self._in_flight.held())
        if heard is None:
            return
        for decode in self._in_flight.decodes_of(heard.stale):
            self._give_up(decode)

    def _publish(self) -> None:
        for decode in self._in_flight.publish(time.monotonic()):
            self._give_up(decode)

    def _give_up(self, decode: Decode) -> None:
        """Ask the decode of a job that is no longer this worker's to stop. `_end_overdue` kills the process if it does not."""
        _LOG.info("job_withdrawn", **decode.leased.job.log_context())
        decode.withdrawn_at = time.monotonic()
        self._model.send(Stop(attempt_id=decode.leased.attempt_id))

    def _end_overdue(self, now: float) -> None:
        """Kill the model process if a withdrawn decode does not stop, or if decodes make no progress."""
        # A kill ends the other decodes, too. If there are none, wait only as long as it costs less than a new process.
        alone = not self._in_flight.ours()
        patience = self._model.stop_patience_seconds if alone else self._settings.no_progress_timeout_seconds
        if self._in_flight.stopping_since(now) > patience:
            self._in_flight.forget_withdrawn()
            self._kill("a cancelled decode did not stop")
        stuck = self._in_flight.stuck(self._settings.no_progress_timeout_seconds)
        for decode in stuck:
            message = "The decode made no progress for too long and was ended."
            error = JobError(code="no_progress", message=message, retryable=True)
            self._in_flight.conclude(decode.leased.attempt_id, DecodeResult(error=error))
        if stuck:
            self._kill("no progress")

    def _kill(self, why: str) -> None:
        """Kill the model process. The other jobs that it was decoding go back, and their attempt is not counted."""
        self._model.kill(why)
        self._in_flight.spare_the_rest()

    def _keep_model(self) -> None:
        """Keep a model process ready, unless the worker is stopping or the model cannot be loaded."""
        if reason := self._model.unable():
            self._cannot_load(reason)
        elif not self._stops_asked:
            had_room, before = self._model.has_room, self._model.ready
            self._model.tick(idle=not self._in_flight.decodes)
            self._tell(before, self._model.ready)
            if self._model.has_room and not had_room:
                self._intake.claim()

    def _tell(self, before: Ready | None, now: Ready | None) -> None:
        """Update the card after a successor took over, or after an old model was ended before there was a successor."""
        if now is before:
            return
        if now is not None:
            self._presence.ready(now)
        else:
            self._presence.loading()

    def _leave(self) -> None:
        """In this order: stop the bell, kill the model process (no more work in vain), hand the jobs back, remove the entries."""
        self._bell.stop()
        self._withdrawals.stop()
        self._model.close(timeout_seconds=5.0)
        try:
            self._in_flight.hand_back_all()
            self._presence.leave()
        except RedisError as error:
            _LOG.warning("store_away", step="leave", error=type(error).__name__, note="leases lapse by themselves")
        _LOG.info("stopped", exit_code=self._exit_code)
