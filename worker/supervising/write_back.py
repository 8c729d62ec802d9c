"""Results on their way to Redis. They are kept until they are written, however long Redis is away."""

import time
from collections.abc import Callable

from redis import RedisError
from redis.exceptions import ResponseError

from shared.jobs.job import JobError
from shared.logs import get_logger
from shared.redis_server.trouble import Trouble, trouble_of
from worker.queue.leased_job import LeasedJob, WriteResult
from worker.queue.leases import Leases, PiecesLost
from worker.supervising.decodes import DecodeResult, UnwrittenResult
from worker.supervising.written_lately import WrittenLately

PIECES_LOST = JobError(
    code="pieces_lost", message="Pieces of the file were lost before it was done; retry it to have it cut anew.", retryable=True
)

_LOG = get_logger(__name__)


class WriteBack:
    """Writes the results of decodes. Stitches a file if this worker wrote its last piece, or claimed it with all pieces done."""

    def __init__(self, leases: Leases, master: Callable[[], object] = lambda: None) -> None:
        self._leases, self._lately = leases, WrittenLately[UnwrittenResult](master)
        self._unwritten: list[UnwrittenResult] = []
        self._to_stitch: list[LeasedJob] = []
        #: Whether Redis' answer to the latest write said that no job waits in this worker's lanes.
        self.nothing_waits = False

    def add(self, leased: LeasedJob, result: DecodeResult) -> None:
        """Take the result of a decode that ended. It is written at once if Redis answers, else by a later `write`."""
        self._unwritten.append(UnwrittenResult(leased=leased, result=result))
        self.write_if_possible()

    def add_file(self, leased: LeasedJob) -> None:
        """Take a claimed file to stitch. Its pieces are done, but the worker that wrote the last one died before stitching."""
        self._to_stitch.append(leased)
        self.write_if_possible()

    def leased(self) -> list[LeasedJob]:
        """The jobs that wait to be written or stitched. Their leases must be renewed meanwhile."""
        return [entry.leased for entry in self._unwritten] + self._to_stitch

    def write(self) -> None:
        """Write every result that is due, then stitch files. A result that cannot be written now is kept for later.

        Raises the last `RedisError` if Redis is away or full. An error that is a mistake in our code concerns its job alone.
        """
        trouble: RedisError | None = None
        now = time.monotonic()
        self._write_again()
        for entry in [e for e in self._unwritten if e.due_at <= now]:
            try:
                self._write(entry.leased, entry.result)
            except RedisError as error:
                if trouble_of(error) is Trouble.OURS:
                    self._refused(entry, error)
                else:
                    # The next result may succeed: a full Redis still accepts writes that free memory.
                    trouble = error
            else:
                self._unwritten.remove(entry)
                self._lately.note(entry)
        if trouble is not None:
            raise trouble
        self._stitch()

    def write_if_possible(self) -> None:
        """As `write`, but if Redis is away or full, that is only logged."""
        try:
            self.write()
        except RedisError as error:
            _LOG.warning("store_away", step="write_back", error=type(error).__name__)

    def _write_again(self) -> None:
        """After a failover, write the latest results again: the old master may not have passed them on to the new one."""
        if lost := [entry for entry in self._lately.to_write_again() if entry.result.ends_job]:
            _LOG.warning("written_again", after="failover", jobs=[entry.leased.job.id for entry in lost])
            self._unwritten += lost

    def _refused(self, entry: UnwrittenResult, error: RedisError) -> None:
        """Postpone a result that Redis refused because of a mistake in our code. After the last try, give it up.

        Then the job's lease is no longer renewed: it lapses, and recovery gives the job to another worker.
        """
        entry.postpone()
        about = {"error": type(error).__name__, "reason": str(error)[:300], **entry.leased.job.log_context()}
        if entry.refused == 1:
            _LOG.error("cannot_write", **about)
        elif entry.is_given_up:
            _LOG.error("write_given_up", tries=entry.refused, **about)
            self._unwritten.remove(entry)

    def _stitch(self) -> None:
        """Stitch the files that are under this worker's lease, and write them."""
        while self._to_stitch:
            result = self._stitched(self._to_stitch[0])
            self._unwritten.append(UnwrittenResult(leased=self._to_stitch.pop(0), result=result))
            self.write()

    def _stitched(self, leased: LeasedJob) -> DecodeResult:
        """The transcript of a file. If its checkpoints are lost or damaged, only this file fails, and it is cut anew."""
        try:
            return DecodeResult(transcript=self._leases.stitch(leased))
        except (PiecesLost, ValueError, ResponseError) as error:
            if isinstance(error, ResponseError) and trouble_of(error) is not Trouble.OURS:
                raise
            _LOG.warning("cannot_stitch", error=type(error).__name__, **leased.job.log_context())
            return DecodeResult(error=PIECES_LOST)

    def _write(self, leased: LeasedJob, result: DecodeResult) -> None:
        written = self._write_result(leased, result)
        code = result.error.code if result.error else None
        event = "job_ended" if written.verdict != "stale" else "write_refused"
        _LOG.info(event, verdict=written.verdict, code=code, **leased.job.log_context())
        self.nothing_waits = written.nothing_waits
        if written.to_stitch is not None:
            self._to_stitch.append(written.to_stitch)

    def _write_result(self, leased: LeasedJob, result: DecodeResult) -> WriteResult:
        if result.transcript is not None:
            return self._leases.finish(leased, result.transcript)
        if result.split is not None:
            written = self._leases.split(leased, result.split.cut, result.split.pieces)
            return written if written.verdict != "missing" else self._fail(leased, PIECES_LOST)
        if result.is_unreadable:
            self._leases.remember_unreadable(leased)
        if result.error is not None:
            return self._fail(leased, result.error)
        return WriteResult(verdict="handed_back" if self._leases.hand_back(leased) else "stale")

    def _fail(self, leased: LeasedJob, error: JobError) -> WriteResult:
        return WriteResult(verdict=self._leases.fail(leased, error))
