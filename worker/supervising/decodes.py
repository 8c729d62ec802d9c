"""A decode that is under way, how it ended, and its end as long as Redis has not been told."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.jobs.job import JobError
from shared.transcripts.pieces import Cut, Piece
from shared.transcripts.transcript import Transcript
from worker.queue.leased_job import LeasedJob

#: A result that Redis refuses by a mistake of ours is written again after pauses that double, and given up after the last try.
FIRST_REFUSED_SECONDS, LONGEST_REFUSED_SECONDS, REFUSED_TRIES = 1.0, 60.0, 10


@dataclass(kw_only=True)
class Decode:
    """A job that the model process is decoding. Times are monotonic seconds; `withdrawn_at`: since when another has the job."""

    leased: LeasedJob
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
class DecodeResult:
    """How a decode ended: one of these is set, or none when the job was not decoded and goes back uncounted."""

    transcript: Transcript | None = None
    split: Split | None = None
    error: JobError | None = None
    #: The file has broken or exhausted its reader.
    is_unreadable: bool = False

    @property
    def ends_job(self) -> bool:
        """A caller may have seen this end. Other results only give up the lease: recovery brings such a job back."""
        return self.transcript is not None or self.error is not None


@dataclass(kw_only=True, eq=False)
class UnwrittenResult:
    """A job that has ended here, of which the store has not heard yet."""

    leased: LeasedJob
    result: DecodeResult
    #: How often it was refused by a mistake of ours, and before when it is not tried again (monotonic seconds).
    refused: int = 0
    due_at: float = float("-inf")

    @property
    def is_given_up(self) -> bool:
        """It was refused so often that another try would hardly help."""
        return self.refused >= REFUSED_TRIES

    def postpone(self) -> None:
        """It was refused once more."""
        self.refused += 1
        self.due_at = time.monotonic() + min(LONGEST_REFUSED_SECONDS, FIRST_REFUSED_SECONDS * 2 ** (self.refused - 1))
