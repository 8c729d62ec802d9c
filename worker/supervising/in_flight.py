"""The jobs in a worker's hands: under lease and decoding, or decoded and not yet written back."""

import time
from collections.abc import Callable
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

#: How often leases are renewed and progress is published; also how soon a cancelled decode is noticed.
RENEW_SECONDS = 0.25

_LOG = get_logger(__name__)


class InFlight:
    """Keeps each claimed job until Redis has heard how it ended."""

    def __init__(self, leases: Leases, master: Callable[[], object] = lambda: None) -> None:
        self._leases = leases
        #: By attempt: a job that was given up may come back while its earlier attempt is still stopping.
        self.decodes: dict[str, Decode] = {}
        self.write_back = WriteBack(leases, master)
        self._renewed_at = 0.0
        self._clock = BusyClock()

    @property
    def busy(self) -> bool:
        """Something is decoding or waits to be written."""
        return bool(self.decodes or self.write_back.leased())

    @property
    def has_suspect(self) -> bool:
        """One of the jobs must be decoded alone, so that the next death of the model process names the culprit."""
        return any(decode.leased.job.suspect for decode in self.decodes.values())

    def ours(self) -> list[Decode]:
        """The decodes of jobs that are still ours. The others were told to stop, and have not stopped yet."""
        return [decode for decode in self.decodes.values() if decode.withdrawn_at is None]

    def ids(self) -> list[str]:
        """Ids of the jobs that are decoding."""
        return [decode.leased.job.id for decode in self.decodes.values()]

    def begin(self, leased: LeasedJob) -> Decode:
        """A job was claimed."""
        self.decodes[leased.attempt_id] = Decode(leased=leased)
        self._clock.run(busy=True)
        return self.decodes[leased.attempt_id]

    def progress(self, event: Progress | Moved) -> None:
        """Note that a decode moves, and its segment if there is one; the next renewal publishes it."""
        decode = self._ours(event.attempt_id)
        if decode is None:
            return
        decode.moved_at = time.monotonic()
        if isinstance(event, Progress):
            decode.leased.unsent.append(event.segment)
            decode.leased.done_seconds = max(decode.leased.done_seconds, event.done_seconds)

    def put_piece(self, event: CutPiece) -> None:
        """Store a piece of a long file. If there is no memory for it, the file will be decoded whole."""
        decode = self._ours(event.attempt_id)
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

    def _ours(self, attempt_id: str) -> Decode | None:
        decode = self.decodes.get(attempt_id)
        return decode if decode is not None and decode.withdrawn_at is None else None

    def conclude(self, attempt_id: str, result: DecodeResult) -> None:
        """A decode ended. Its result is written at once if Redis answers, else at a later tick."""
        decode = self._drop(attempt_id)
        self.write_back.nothing_waits = False
        if decode is None or decode.withdrawn_at is not None:
            return
        if result.transcript is not None:
            decode.leased.busy_seconds = self._clock.take_seconds()
        self.write_back.add(decode.leased, result)

    def forget(self, attempt_id: str) -> None:
        """A decode was given up because the job is no longer ours."""
        self._drop(attempt_id)

    def forget_withdrawn(self) -> None:
        """The same for all decodes that did not stop when told to."""
        for attempt_id in [k for k, decode in self.decodes.items() if decode.withdrawn_at is not None]:
            self._drop(attempt_id)

    def _drop(self, attempt_id: str) -> Decode | None:
        decode = self.decodes.pop(attempt_id, None)
        self._clock.run(busy=bool(self.decodes))
        return decode

    def abandon(self, error: JobError) -> None:
        """The model process died under these jobs."""
        for attempt_id in list(self.decodes):
            self.conclude(attempt_id, DecodeResult(error=error))

    def spare_the_rest(self) -> None:
        """The model process is ended for another job's sake: these go back, and the attempt is not counted."""
        for attempt_id in list(self.decodes):
            self.conclude(attempt_id, DecodeResult())

    def stuck(self, limit_seconds: float) -> list[Decode]:
        """Once a decode has not moved for the limit plus a tenth of its audio: all that have not moved for the limit.

        They share the calls to one model: when it hangs, it hangs for all in it, and nobody can tell whose call it was.
        """
        now, ours = time.monotonic(), self.ours()
        if not any(now - decode.moved_at > limit_seconds + 0.1 * decode.leased.job.audio_seconds for decode in ours):
            return []
        return [decode for decode in ours if now - decode.moved_at > limit_seconds]

    def stopping_since(self, now: float) -> float:
        """For how many seconds the slowest withdrawn decode has kept us waiting."""
        withdrawn = [decode.withdrawn_at for decode in self.decodes.values() if decode.withdrawn_at is not None]
        return max((now - since for since in withdrawn), default=0.0)

    def renew(self, now: float) -> list[Decode]:
        """Renew all leases if it is time; the decodes of jobs that turned out not to be ours any more."""
        ours, unwritten = self.ours(), self.write_back.leased()
        if now - self._renewed_at < RENEW_SECONDS or not (ours or unwritten):
            return []
        verdicts = self._leases.renew([decode.leased for decode in ours] + unwritten)
        self._renewed_at = now
        return [decode for decode, is_ours in zip(ours, verdicts, strict=False) if not is_ours]

    def hand_back_all(self) -> None:
        """Write what has ended, and give the rest back: other workers take it, and the attempt is not counted."""
        self.write_back.write()
        for decode in self.ours():
            if self._leases.hand_back(decode.leased):
                _LOG.info("job_handed_back", **decode.leased.job.log_context())
        self.decodes.clear()
