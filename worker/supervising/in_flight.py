"""The jobs that a worker holds: under lease and decoding, or decoded and not yet written back."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from redis import RedisError
from redis.exceptions import ResponseError

from shared.jobs.job import JobError
from shared.logs import get_logger
from worker.messages import CutPiece, Moved, Progress
from worker.queue.leased_job import LeasedJob
from worker.queue.leases import Leases
from worker.supervising.busy_clock import BusyClock
from worker.supervising.decodes import Decode, DecodeResult
from worker.supervising.write_back import WriteBack

#: How often progress is published.
PUBLISH_SECONDS = 0.25

_LOG = get_logger(__name__)


class InFlight:
    """Keeps each claimed job until its result is written to Redis, or the job is no longer this worker's."""

    def __init__(self, leases: Leases, master: Callable[[], object] = lambda: None) -> None:
        self._leases = leases
        #: By attempt: a job that was given up may be claimed again while its earlier attempt is still stopping.
        self.decodes: dict[str, Decode] = {}
        self.write_back = WriteBack(leases, master)
        self._published_at = 0.0
        self._clock = BusyClock()

    @property
    def busy(self) -> bool:
        """Whether a job is decoding, or a result waits to be written."""
        return bool(self.decodes or self.write_back.leased())

    @property
    def has_suspect(self) -> bool:
        """Whether one of the jobs is a suspect. It is decoded alone, so that a death of the model process names the cause."""
        return any(decode.leased.job.suspect for decode in self.decodes.values())

    def ours(self) -> list[Decode]:
        """The decodes of jobs that are still this worker's. All other decodes were told to stop, and have not stopped yet."""
        return [decode for decode in self.decodes.values() if decode.withdrawn_at is None]

    def ids(self) -> list[str]:
        """Ids of the jobs that are decoding."""
        return [decode.leased.job.id for decode in self.decodes.values()]

    def begin(self, leased: LeasedJob) -> Decode:
        """Add a claimed job."""
        self.decodes[leased.attempt_id] = Decode(leased=leased)
        self._clock.run(busy=True)
        return self.decodes[leased.attempt_id]

    def progress(self, event: Progress | Moved) -> None:
        """Note that a decode moves, and its new segment if there is one. `publish` publishes the segment."""
        decode = self.our(event.attempt_id)
        if decode is None:
            return
        decode.moved_at = time.monotonic()
        if isinstance(event, Progress):
            decode.leased.unsent.append(event.segment)
            decode.leased.done_seconds = max(decode.leased.done_seconds, event.done_seconds)

    def put_piece(self, event: CutPiece) -> None:
        """Store a piece of a long file. If Redis refuses it (no memory), this worker will decode the file whole."""
        decode = self.our(event.attempt_id)
        if decode is None or decode.unsplittable:
            return
        decode.moved_at = time.monotonic()
        try:
            if self._leases.put_piece(decode.leased, event.number, event.audio):
                decode.piece_bytes.append(len(event.audio))
        except ResponseError:
            decode.unsplittable = True
            with suppress(RedisError):  # the pieces stored so far have a TTL
                self._leases.drop_put_pieces(decode.leased)
        except RedisError as error:
            _LOG.warning("store_away", step="put_piece", error=type(error).__name__)

    def our(self, attempt_id: str) -> Decode | None:
        """The decode of this attempt, if it is under way and was not told to stop."""
        decode = self.decodes.get(attempt_id)
        return decode if decode is not None and decode.withdrawn_at is None else None

    def conclude(self, attempt_id: str, result: DecodeResult) -> None:
        """Take the result of a decode that ended. It is written at once if Redis answers, else at a later tick."""
        decode = self._drop(attempt_id)
        self.write_back.nothing_waits = False
        if decode is None or decode.withdrawn_at is not None:
            return
        if result.transcript is not None:
            decode.leased.busy_seconds = self._clock.take_seconds()
        self.write_back.add(decode.leased, result)

    def forget(self, attempt_id: str) -> None:
        """Drop a decode that was given up because the job is no longer this worker's."""
        self._drop(attempt_id)

    def forget_withdrawn(self) -> None:
        """Drop all decodes that were told to stop and did not."""
        for attempt_id in [k for k, decode in self.decodes.items() if decode.withdrawn_at is not None]:
            self._drop(attempt_id)

    def _drop(self, attempt_id: str) -> Decode | None:
        decode = self.decodes.pop(attempt_id, None)
        self._clock.run(busy=bool(self.decodes))
        return decode

    def abandon(self, error: JobError) -> None:
        """End all decodes with this error: the model process died under them."""
        for attempt_id in list(self.decodes):
            self.conclude(attempt_id, DecodeResult(error=error))

    def spare_the_rest(self) -> None:
        """Give the other jobs back when the model process is killed because of one job. Their attempt is not counted."""
        for attempt_id in list(self.decodes):
            self.conclude(attempt_id, DecodeResult())

    def stuck(self, limit_seconds: float) -> list[Decode]:
        """The decodes that are stuck. None is, unless one has not moved for the limit plus a tenth of its audio.

        Then all that have not moved for the limit are stuck: they share the calls to one model. When a call hangs, it hangs for
        all of them, and the supervisor cannot tell which job is the cause.
        """
        now, ours = time.monotonic(), self.ours()
        if not any(now - decode.moved_at > limit_seconds + 0.1 * decode.leased.job.audio_seconds for decode in ours):
            return []
        return [decode for decode in ours if now - decode.moved_at > limit_seconds]

    def stopping_since(self, now: float) -> float:
        """For how many seconds the supervisor has waited for the slowest withdrawn decode; 0 if there is none."""
        withdrawn = [decode.withdrawn_at for decode in self.decodes.values() if decode.withdrawn_at is not None]
        return max((now - since for since in withdrawn), default=0.0)

    def held(self) -> list[LeasedJob]:
        """The jobs whose leases must be renewed: all that are still this worker's, decoding or not written yet."""
        return [decode.leased for decode in self.ours()] + self.write_back.leased()

    def publish(self, now: float) -> list[Decode]:
        """Publish new segments if there are some and it is time. Returns the decodes of jobs that are no longer this worker's."""
        if now - self._published_at < PUBLISH_SECONDS:
            return []
        self._published_at = now
        news = [decode for decode in self.ours() if decode.leased.unsent]
        verdicts = self._leases.publish([decode.leased for decode in news]) if news else []
        return [decode for decode, is_ours in zip(news, verdicts, strict=True) if not is_ours]

    def decodes_of(self, stale: Sequence[LeasedJob]) -> list[Decode]:
        """The decodes of these jobs, if they are still under way and were not told to stop."""
        attempts = {leased.attempt_id for leased in stale}
        return [decode for decode in self.ours() if decode.leased.attempt_id in attempts]

    def hand_back_all(self) -> None:
        """Write the results, and hand back the jobs that are still decoding: other workers take them, the attempt uncounted."""
        self.write_back.write()
        for decode in self.ours():
            if self._leases.hand_back(decode.leased):
                _LOG.info("job_handed_back", **decode.leased.job.log_context())
        self.decodes.clear()
