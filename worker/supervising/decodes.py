"""A decode that is under way, its result, and a result that is not written to Redis yet."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.jobs.job import JobError
from shared.transcripts.pieces import Cut, Piece
from shared.transcripts.transcript import Transcript
from worker.queue.leased_job import LeasedJob

#: If Redis refuses a result because of a mistake in our code, the worker writes it again after pauses that double. It gives the
#: result up after the last try.
FIRST_REFUSED_SECONDS, LONGEST_REFUSED_SECONDS, REFUSED_TRIES = 1.0, 60.0, 10


@dataclass(kw_only=True)
class Decode:
    """A job that the model process is decoding. Times are monotonic seconds.

    `withdrawn_at`: when this worker learned that the job is no longer its own; None while it is.
    """

    leased: LeasedJob
    moved_at: float = field(default_factory=time.monotonic)
    withdrawn_at: float | None = None
    #: Of a long file: the sizes in bytes of the pieces stored so far. `unsplittable`: Redis had no memory for one of them.
    piece_bytes: list[int] = field(default_factory=list)
    unsplittable: bool = False


@dataclass(frozen=True, kw_only=True)
class Split:
    """The pieces of a long file, each with the size of its audio in bytes. Their audio is stored in Redis."""

    cut: Cut
    pieces: Sequence[tuple[Piece, int]]


@dataclass(frozen=True, kw_only=True)
class DecodeResult:
    """How a decode ended: with a transcript, a split or an error. If none is set, the job goes back, its attempt uncounted."""

    transcript: Transcript | None = None
    split: Split | None = None
    error: JobError | None = None
    #: The file has broken or exhausted its reader.
    is_unreadable: bool = False

    @property
    def ends_job(self) -> bool:
        """Whether this result ends its job, so that a caller may have seen the end. Other results only give up the lease.

        If such a write is lost in a failover, recovery takes the job back.
        """
        return self.transcript is not None or self.error is not None


@dataclass(kw_only=True, eq=False)
class UnwrittenResult:
    """The result of a job that is not written to Redis yet."""

    leased: LeasedJob
    result: DecodeResult
    #: How often Redis refused it because of a mistake in our code, and when the next try is due (monotonic seconds).
    refused: int = 0
    due_at: float = float("-inf")

    @property
    def is_given_up(self) -> bool:
        """Whether Redis refused it so often that another try would hardly help."""
        return self.refused >= REFUSED_TRIES

    def postpone(self) -> None:
        """Note one more refusal, and when the next try is due."""
        self.refused += 1
        self.due_at = time.monotonic() + min(LONGEST_REFUSED_SECONDS, FIRST_REFUSED_SECONDS * 2 ** (self.refused - 1))
