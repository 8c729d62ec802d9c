"""What supervisor and model process say to each other over their pipe. Imports nothing that loads a model."""

from dataclasses import dataclass

from shared.options import TranscriptionOptions
from shared.transcript import Segment, Transcript


@dataclass(frozen=True, kw_only=True, slots=True)
class Transcribe:
    """Supervisor to model: decode this. `audio` is the file's bytes as uploaded."""

    attempt_id: str
    audio: bytes
    options: TranscriptionOptions
    max_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Stop:
    """Supervisor to model: give this job up at the next segment."""

    attempt_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Canary:
    """Supervisor to model: prove that you can still decode."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Able:
    """Model to supervisor: the canary transcription went through."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unable:
    """Model to supervisor: the canary transcription raised; the kind of the error."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """Model to supervisor: loaded, and a canary transcription went through."""

    model: str
    revision: str
    device: str
    load_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class CannotLoad:
    """Model to supervisor: it will never be ready; the reason for the operator."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Moved:
    """Model to supervisor: nothing to show yet, but the decode came to its next call of the model."""

    attempt_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Model to supervisor: one more segment, and how far into the audio it reaches."""

    attempt_id: str
    segment: Segment
    done_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """Model to supervisor: the whole transcript."""

    attempt_id: str
    transcript: Transcript


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """Model to supervisor: this job cannot be done; `retryable` when another attempt may go better."""

    attempt_id: str
    code: str
    message: str
    retryable: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopped:
    """Model to supervisor: given up as told."""

    attempt_id: str


FromSupervisor = Transcribe | Stop | Canary
FromModel = Ready | Able | Unable | CannotLoad | Moved | Progress | Done | Failed | Stopped
