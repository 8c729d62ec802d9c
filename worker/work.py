"""The jobs in a worker's hands: under lease and decoding, or decoded and not yet written back."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from redis import RedisError
from redis.exceptions import ResponseError

from shared.job import JobError
from shared.logs import get_logger
from shared.redis_trouble import Trouble, trouble_of
from shared.stitching import Cut, Piece
from shared.transcript import Transcript
from worker.busy_clock import BusyClock
from worker.held import Held, Written
from worker.messages import CutPiece, Moved, Progress
from worker.store import PiecesLost, WorkerStore
from worker.written_lately import WrittenLately

#: How often leases are renewed and progress is published; also how soon a cancelled decode is noticed.
RENEW_SECONDS = 0.25
#: A result that Redis refuses by a mistake of ours is written again after pauses that double, and given up after the last try.
FIRST_REFUSED_SECONDS, LONGEST_REFUSED_SECONDS, REFUSED_TRIES = 1.0, 60.0, 10

PIECES_LOST = JobError(
    code="pieces_lost", message="Pieces of the file were lost before it was done; retry it to have it cut anew.", retryable=True
)

_LOG = get_logger(__name__)


@dataclass(kw_only=True)
class Assignment:
    """A job that the model process is decoding. Times are monotonic seconds; `withdrawn_at`: since when it is not ours."""

    held: Held
    moved_at: float = field(default_factory=time.monotonic)
    withdrawn_at: float | None = None
    #: Of a long file: the sizes in bytes of the pieces that were stored; `unsplittable`: there was no memory for one.
    piece_bytes: list[int] = field(default_factory=list)
    unsplittable: bool = False


@dataclass(frozen=True, kw_only=True)
class Split:
    """A long file has become pieces, whose audio is stored; each with its size in bytes."""

    cut: Cut
    pieces: Sequence[tuple[Piece, int]]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a decode ended: one of these is set, or none when the job was not decoded and goes back uncounted."""

    transcript: Transcript | None = None
    split: Split | None = None
    error: JobError | None = None
    #: The file has broken or exhausted its reader.
    is_unreadable: bool = False

    @property
    def ends_job(self) -> bool:
        """Somebody may have seen the job end. Of others only the lease is lost, and recovery has them."""
        return self.transcript is not None or self.error is not None


@dataclass(kw_only=True, eq=False)
class Unwritten:
    """A job that has ended here, of which the store has not heard yet."""

    held: Held
    outcome: Outcome
    #: How often it was refused by a mistake of ours, and before when it is not tried again (monotonic seconds).
    refused: int = 0
    due_at: float = float("-inf")

    def postpone(self) -> None:
        """It was refused once more."""
        self.refused += 1
        self.due_at = time.monotonic() + min(LONGEST_REFUSED_SECONDS, FIRST_REFUSED_SECONDS * 2 ** (self.refused - 1))


class Work:
    """Keeps what has been claimed until the store has heard how it ended, through any absence of Redis."""

    def __init__(self, store: WorkerStore, master: Callable[[], object] = lambda: None) -> None:
        self._store, self._lately = store, WrittenLately[Unwritten](master)
        #: By attempt: a job that was given up may come back while its earlier attempt is still stopping.
        self.assignments: dict[str, Assignment] = {}
        self._unwritten: list[Unwritten] = []
        #: Files that are ours to put together.
        self._to_stitch: list[Held] = []
        self._renewed_at = 0.0
        self._clock = BusyClock()
        #: What was written last told that no lane of ours holds a job.
        self.nothing_waits = False

    @property
    def busy(self) -> bool:
        """Something is decoding or waits to be written."""
        return bool(self.assignments or self._unwritten or self._to_stitch)

    @property
    def has_suspect(self) -> bool:
        """One in hand must be alone, so that the next death names the culprit."""
        return any(a.held.job.suspect for a in self.assignments.values())

    @property
    def others_decode(self) -> bool:
        """Beside decodes that were withdrawn there are some that were not."""
        return any(a.withdrawn_at is None for a in self.assignments.values())

    def ids(self) -> list[str]:
        """Ids of the jobs that are decoding."""
        return [a.held.job.id for a in self.assignments.values()]

    def put_together(self, held: Held) -> None:
        """A file was claimed whose pieces are all done: its last worker died before it had put them together."""
        self._to_stitch.append(held)
        self.write_back_if_possible()

    def begin(self, held: Held) -> Assignment:
        """A job was claimed."""
        self.assignments[held.attempt_id] = Assignment(held=held)
        self._clock.run(busy=True)
        return self.assignments[held.attempt_id]

    def progress(self, event: Progress | Moved) -> None:
        """Note that a decode moves, and its segment if there is one; the next renewal publishes it."""
        assignment = self.assignments.get(event.attempt_id)
        if assignment is None or assignment.withdrawn_at is not None:
            return
        assignment.moved_at = time.monotonic()
        if isinstance(event, Progress):
            assignment.held.unsent.append(event.segment)
            assignment.held.done_seconds = max(assignment.held.done_seconds, event.done_seconds)

    def put_piece(self, event: CutPiece) -> None:
        """Store a piece of a long file. If there is no memory for it, the file will be decoded whole."""
        assignment = self.assignments.get(event.attempt_id)
        if assignment is None or assignment.withdrawn_at is not None or assignment.unsplittable:
            return
        assignment.moved_at = time.monotonic()
        try:
            if self._store.put_piece(assignment.held, event.number, event.audio):
                assignment.piece_bytes.append(len(event.audio))
        except ResponseError:
            assignment.unsplittable = True
            with suppress(RedisError):  # they have a TTL
                self._store.drop_put_pieces(assignment.held)
        except RedisError as error:
            _LOG.warning("store_away", step="put_piece", error=type(error).__name__)

    def conclude(self, attempt_id: str, outcome: Outcome) -> None:
        """A decode ended. Written at once if Redis answers, else at a later tick."""
        assignment = self._drop(attempt_id)
        self.nothing_waits = False
        if assignment is not None and assignment.withdrawn_at is None:
            if outcome.transcript is not None:
                assignment.held.busy_seconds = self._clock.take_seconds()
            self._unwritten.append(Unwritten(held=assignment.held, outcome=outcome))
            self.write_back_if_possible()

    def forget(self, attempt_id: str) -> None:
        """A decode was given up because the job is no longer ours."""
        self._drop(attempt_id)

    def forget_withdrawn(self) -> None:
        """The same for all decodes that did not stop when told to."""
        for attempt_id in [k for k, v in self.assignments.items() if v.withdrawn_at is not None]:
            self._drop(attempt_id)

    def _drop(self, attempt_id: str) -> Assignment | None:
        assignment = self.assignments.pop(attempt_id, None)
        self._clock.run(busy=bool(self.assignments))
        return assignment

    def abandon(self, error: JobError) -> None:
        """The model process died under these jobs."""
        for attempt_id in list(self.assignments):
            self.conclude(attempt_id, Outcome(error=error))

    def spare_the_rest(self) -> None:
        """The model process is ended for another job's sake: these go back uncounted."""
        for attempt_id in list(self.assignments):
            self.conclude(attempt_id, Outcome())

    def stuck(self, limit_seconds: float) -> list[Assignment]:
        """Once a decode has not moved for the limit plus a tenth of its audio: all that have not moved for the limit.

        They share the calls to one model: when it hangs, it hangs for all in it, and nobody can tell whose call it was.
        """
        now = time.monotonic()
        ours = [a for a in self.assignments.values() if a.withdrawn_at is None]
        if not any(now - a.moved_at > limit_seconds + 0.1 * a.held.job.audio_seconds for a in ours):
            return []
        return [a for a in ours if now - a.moved_at > limit_seconds]

    def stopping_since(self, now: float) -> float:
        """For how many seconds the slowest withdrawn decode has kept us waiting."""
        return max((now - a.withdrawn_at for a in self.assignments.values() if a.withdrawn_at is not None), default=0.0)

    def renew(self, now: float) -> list[Assignment]:
        """Renew all leases if it is time; the assignments that turned out not to be ours any more."""
        mine = [a for a in self.assignments.values() if a.withdrawn_at is None]
        waiting = [entry.held for entry in self._unwritten] + self._to_stitch
        if now - self._renewed_at < RENEW_SECONDS or not (mine or waiting):
            return []
        verdicts = self._store.renew([a.held for a in mine] + waiting)
        self._renewed_at = now
        return [a for a, ours in zip(mine, verdicts, strict=False) if not ours]

    def write_back(self) -> None:
        """Write every concluded job that is due. What cannot be written now is kept for later.

        Raises the last `RedisError` of a Redis that is away or full; one that is our mistake concerns its job alone.
        """
        trouble: RedisError | None = None
        now = time.monotonic()
        self._write_again()
        for entry in [e for e in self._unwritten if e.due_at <= now]:
            try:
                self._write(entry.held, entry.outcome)
            except RedisError as error:
                if trouble_of(error) is Trouble.OURS:
                    self._refused(entry, error)
                else:
                    # The next may go through: a full Redis takes what frees memory.
                    trouble = error
            else:
                self._unwritten.remove(entry)
                self._lately.note(entry)
        if trouble is not None:
            raise trouble
        self._stitch()

    def _write_again(self) -> None:
        """After a failover: what the old master took last may not have reached the new one."""
        if lost := [entry for entry in self._lately.to_write_again() if entry.outcome.ends_job]:
            _LOG.warning("written_again", after="failover", jobs=[entry.held.job.id for entry in lost])
            self._unwritten += lost

    def _refused(self, entry: Unwritten, error: RedisError) -> None:
        """To write it again will hardly help. Given up, it is not renewed any more: its lease lapses and recovery has it."""
        entry.postpone()
        about = {"error": type(error).__name__, "reason": str(error)[:300], **entry.held.job.log_context()}
        if entry.refused == 1:
            _LOG.error("cannot_write", **about)
        elif entry.refused >= REFUSED_TRIES:
            _LOG.error("write_given_up", tries=entry.refused, **about)
            self._unwritten.remove(entry)

    def _stitch(self) -> None:
        """Put together the files that are ours, and write them."""
        while self._to_stitch:
            outcome = self._stitched(self._to_stitch[0])
            self._unwritten.append(Unwritten(held=self._to_stitch.pop(0), outcome=outcome))
            self.write_back()

    def _stitched(self, held: Held) -> Outcome:
        """Whatever is wrong with a file's pieces is that file's misfortune: it is cut anew, and this worker goes on."""
        try:
            return Outcome(transcript=self._store.stitch(held))
        except (PiecesLost, ValueError, ResponseError) as error:
            if isinstance(error, ResponseError) and trouble_of(error) is not Trouble.OURS:
                raise
            _LOG.warning("cannot_stitch", error=type(error).__name__, **held.job.log_context())
            return Outcome(error=PIECES_LOST)

    def hand_back_all(self) -> None:
        """Give everything back that is not written, uncounted."""
        self.write_back()
        for assignment in self.assignments.values():
            if assignment.withdrawn_at is None and self._store.hand_back(assignment.held):
                _LOG.info("job_handed_back", **assignment.held.job.log_context())
        self.assignments.clear()

    def write_back_if_possible(self) -> None:
        """As `write_back`, but an absent Redis is only logged."""
        try:
            self.write_back()
        except RedisError as error:
            _LOG.warning("store_away", step="write_back", error=type(error).__name__)

    def _write(self, held: Held, outcome: Outcome) -> None:
        written = self._write_outcome(held, outcome)
        code = outcome.error.code if outcome.error else None
        event = "job_ended" if written.verdict != "stale" else "write_refused"
        _LOG.info(event, verdict=written.verdict, code=code, **held.job.log_context())
        self.nothing_waits = written.nothing_waits
        if written.to_stitch is not None:
            self._to_stitch.append(written.to_stitch)

    def _write_outcome(self, held: Held, outcome: Outcome) -> Written:
        if outcome.transcript is not None:
            return self._store.finish(held, outcome.transcript)
        if outcome.split is not None:
            written = self._store.split(held, outcome.split.cut, outcome.split.pieces)
            return written if written.verdict != "missing" else self._fail(held, PIECES_LOST)
        if outcome.is_unreadable:
            self._store.remember_unreadable(held)
        if outcome.error is not None:
            return self._fail(held, outcome.error)
        return Written(verdict="handed_back" if self._store.hand_back(held) else "stale")

    def _fail(self, held: Held, error: JobError) -> Written:
        return Written(verdict=self._store.fail(held, error))
