"""The job record: its states, the moves between them, and how it is read from Redis."""

import json
from collections.abc import Mapping
from enum import Enum
from typing import Any

from pydantic import BaseModel, ConfigDict

from shared.audio.report import AudioReport, AudioWarning
from shared.jobs.options import Priority, TranscriptionOptions
from shared.transcripts.pieces import Cut


class JobState(str, Enum):
    """The state of a job."""

    #: It waits in its lane, or for its leader: the equal job whose transcript it will share.
    QUEUED = "queued"
    #: A worker holds its lease.
    RUNNING = "running"
    #: The transcript is there.
    COMPLETED = "completed"
    #: It was not transcribed; `error` says why.
    FAILED = "failed"
    #: The caller cancelled it.
    CANCELED = "canceled"
    #: It was not started, or had not ended, by its deadline.
    EXPIRED = "expired"

    @property
    def is_terminal(self) -> bool:
        """Whether the job has ended. Only its owner's retry, or an operator's requeue, changes a terminal state: to `queued`."""
        return self not in (JobState.QUEUED, JobState.RUNNING)


#: Every legal move. The Lua scripts in `shared/jobs/scripts` make the moves, and refuse all others.
LEGAL_MOVES: Mapping[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.COMPLETED, JobState.FAILED, JobState.CANCELED, JobState.EXPIRED}),
    JobState.RUNNING: frozenset({JobState.QUEUED, JobState.COMPLETED, JobState.FAILED, JobState.CANCELED, JobState.EXPIRED}),
    JobState.COMPLETED: frozenset(),
    JobState.FAILED: frozenset({JobState.QUEUED}),
    JobState.CANCELED: frozenset(),
    JobState.EXPIRED: frozenset({JobState.QUEUED}),
}


class Origin(str, Enum):
    """Where a job's transcript comes from."""

    DECODED = "decoded"
    CACHE = "cache"
    #: From an equal job that was in flight.
    SHARED = "shared"


class JobError(BaseModel):
    """Why a job failed, told to its owner. `retryable`: a retry may succeed."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str
    retryable: bool = False


class AttemptNote(BaseModel):
    """Why one attempt ended without a result."""

    model_config = ConfigDict(frozen=True)

    attempt: int
    worker: str | None = None
    code: str
    message: str
    at_ms: int


class Job(BaseModel):
    """One job as it is stored in Redis. Times are milliseconds of the Redis server's clock."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    state: JobState
    tenant: str
    options: TranscriptionOptions
    model: str
    priority: Priority = Priority.INTERACTIVE
    metadata: dict[str, Any] | None = None
    sha256: str
    audio_format: str
    size_bytes: int
    audio_seconds: float
    created_at_ms: int
    started_at_ms: int | None = None
    finished_at_ms: int | None = None
    attempt: int = 0
    #: It may have ended a model process, so it must run alone.
    suspect: bool = False
    worker: str | None = None
    token: int | None = None
    progress_seconds: float = 0.0
    origin: Origin | None = None
    cached_at_ms: int | None = None
    leader: str | None = None
    #: Of a piece: the job of its file, and where it lies in the file ("from-to" in ms; of split channels "from-to@channel").
    parent: str | None = None
    piece: str | None = None
    lane: str | None = None
    #: Of a file that has been cut: how many pieces it has, how many are not done yet, and what stitching needs to know.
    pieces: int | None = None
    pieces_left: int | None = None
    cut: Cut | None = None
    #: What the probe found in the audio.
    audio: AudioReport | None = None
    warnings: list[AudioWarning] = []
    error: JobError | None = None
    history: list[AttemptNote] = []

    @classmethod
    def from_hash(cls, stored: Mapping[str, str]) -> "Job":
        """Read the Redis hash `job:{id}`. JSON fields are decoded; absent fields take their defaults.

        Raises `pydantic.ValidationError` if this version cannot read the record.
        """
        fields: dict[str, Any] = dict(stored)
        for name, model in (("options", TranscriptionOptions), ("error", JobError), ("cut", Cut), ("audio", AudioReport)):
            if name in fields:
                fields[name] = model.model_validate_json(fields[name])
        for name in ("metadata", "history", "warnings"):
            if name in fields:
                fields[name] = json.loads(fields[name])
        return cls.model_validate(fields)

    def log_context(self) -> dict[str, object]:
        """What a log line may say about a job: never its content, prompt or metadata."""
        return {"job_id": self.id, "attempt": self.attempt, "audio_seconds": self.audio_seconds, "sha256": self.sha256[:8]}
