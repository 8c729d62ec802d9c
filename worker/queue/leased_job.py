"""A job under a worker's lease, and the answer of Redis when the worker writes its result."""

from dataclasses import dataclass, field
from uuid import uuid4

from shared.jobs.job import Job
from shared.transcripts.transcript import Segment


@dataclass(kw_only=True)
class LeasedJob:
    """A job under this worker's lease, and its progress.

    `unsent`: segments that are not published yet. `published`: how many segments are.
    """

    job: Job
    token: int
    #: The id of this attempt in RQ's tools, and the id of the call that gave the lease (parts/leases.lua).
    execution: str = ""
    done_seconds: float = 0.0
    unsent: list[Segment] = field(default_factory=list)
    published: int = 0
    #: The worker's busy time since its previous result, in seconds.
    busy_seconds: float = 0.0
    #: The upload, if it is small: then it came with the claim.
    audio: bytes | None = None
    #: The id of RQ's execution record of the file that this job's result may give this worker to stitch. It never changes, so
    #: that a repeated call gets the same answer.
    next_execution: str = field(default_factory=lambda: uuid4().hex)

    @property
    def attempt_id(self) -> str:
        """The name of this attempt for the model process. Other attempts of the same job have other names."""
        return f"{self.job.id}:{self.token}"


@dataclass(frozen=True, kw_only=True)
class WriteResult:
    """What happened to a result. `verdict` is one of these words:

    - `completed`, `piece` (a checkpoint of a file) or `split`: it was written;
    - `stitch`: it was written, and the file `to_stitch` is now under this worker's lease;
    - `missing`: the audio of a piece was not stored, so the file was not split;
    - `stale`: the job is no longer this worker's;
    - `failed`, `requeued` or `handed_back`: the attempt ended without a transcript.
    """

    verdict: str
    to_stitch: LeasedJob | None = None
    #: No lane of this worker holds a waiting job. Known with `completed` only.
    nothing_waits: bool = False
