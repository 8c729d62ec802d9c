"""What a worker holds: a job under its lease, and what Redis answers when it gives one back."""

from dataclasses import dataclass, field
from uuid import uuid4

from shared.jobs.job import Job
from shared.transcripts.transcript import Segment


@dataclass(kw_only=True)
class LeasedJob:
    """A job under this worker's lease, and what has been heard of it since the last renewal."""

    job: Job
    token: int
    done_seconds: float = 0.0
    unsent: list[Segment] = field(default_factory=list)
    published: int = 0
    #: Of its worker's busy time what no earlier result has been measured by.
    busy_seconds: float = 0.0
    #: As uploaded, where it is small: it came with the claim.
    audio: bytes | None = None
    #: Of the file that it may bring us to stitch; one id, so that asking twice for it is asking for the same.
    next_execution: str = field(default_factory=lambda: uuid4().hex)

    @property
    def attempt_id(self) -> str:
        """Names this attempt, and no earlier or later one of the same job, towards the model process."""
        return f"{self.job.id}:{self.token}"


@dataclass(frozen=True, kw_only=True)
class WriteResult:
    """What became of a result: `completed`, `piece`, `split`, `missing`, `stale`; or `stitch`, with the file that is now ours."""

    verdict: str
    to_stitch: LeasedJob | None = None
    #: No lane of ours holds a job. Known with `completed` only.
    nothing_waits: bool = False
