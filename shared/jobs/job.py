"""The job record: its states, the moves between them, and how it reads from Redis."""

import json
from collections.abc import Mapping
from enum import Enum
from typing import Any

from pydantic import BaseModel, ConfigDict

from shared.audio.report import AudioReport, AudioWarning
from shared.jobs.options import Priority, TranscriptionOptions
from shared.transcripts.pieces import Cut


class JobState(str, Enum):
    """Where a job is in its life."""

    #: Waiting in its lane, or for the equal job that is decoded on its behalf.
    QUEUED = "queued"
    #: A worker holds its lease.
    RUNNING = "running"
    #: The transcript is there.
    COMPLETED = "completed"
    #: It cannot be transcribed; `error` says why.
    FAILED = "failed"
    #: The caller cancelled it.
    CANCELED = "canceled"
    #: It was not started, or had not ended, by its deadline.
    EXPIRED = "expired"

    @property
    def is_terminal(self) -> bool:
        """Terminal states are write-once; only the owner's retry, or an operator's requeue, starts a new life."""
        return self not in (JobState.QUEUED, JobState.RUNNING)


#: Every legal move. The Lua scripts in `shared/jobs/scripts` make them; anything else is refused there.
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
    """Why a job failed, for its owner."""

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
    """One job as the store knows it. Times are milliseconds of the Redis server's clock."""

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
    #: It may have ended a model process, and is to run alone.
    suspect: bool = False
    worker: str | None = None
    token: int | None = None
    progress_seconds: float = 0.0
    origin: Origin | None = None
    cached_at_ms: int | None = None
    leader: str | None = None
    #: Of a piece: the file it belongs to, and where it is in it ("from-to" in ms; of split channels "from-to@channel").
    parent: str | None = None
    piece: str | None = None
    lane: str | None = None
    #: Of a file that has been cut: how many pieces, how many of them are not done, and what stitching wants to know.
    pieces: int | None = None
    pieces_left: int | None = None
    cut: Cut | None = None
    #: What the probe has found.
    audio: AudioReport | None = None
    warnings: list[AudioWarning] = []
    error: JobError | None = None
    history: list[AttemptNote] = []

    @classmethod
    def from_hash(cls, stored: Mapping[str, str]) -> "Job":
        """Read the Redis hash `job:{id}`; JSON fields are decoded, absent ones take their defaults."""
        fields: dict[str, Any] = dict(stored)
        for name, model in (("options", TranscriptionOptions), ("error", JobError), ("cut", Cut), ("audio", AudioReport)):
            if name in fields:
                fields[name] = model.model_validate_json(fields[name])
        for name in ("metadata", "history", "warnings"):
            if name in fields:
                fields[name] = json.loads(fields[name])
        return cls.model_validate(fields)

    def log_context(self) -> dict[str, object]:
        """What a log line may say of a job: never its content, prompt or metadata."""
        return {"job_id": self.id, "attempt": self.attempt, "audio_seconds": self.audio_seconds, "sha256": self.sha256[:8]}
