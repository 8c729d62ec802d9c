"""What supervisor and model process say to each other over their pipe. Imports nothing that loads a model."""

from dataclasses import dataclass

from shared.jobs.options import TranscriptionOptions
from shared.transcripts.pieces import Cut, Piece
from shared.transcripts.transcript import Segment, Transcript


@dataclass(frozen=True, kw_only=True, slots=True)
class Transcribe:
    """Supervisor to model: decode this. `audio` is the file's bytes as uploaded.

    `split_above_seconds`: longer audio is cut into pieces instead (0: never). `urgent`: goes before what is not.
    """

    attempt_id: str
    audio: bytes
    options: TranscriptionOptions
    max_seconds: float
    #: What the probe has found: how long the audio is, and how many channels it has.
    expected_seconds: float
    channels: int
    split_above_seconds: float = 0.0
    urgent: bool = True


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
class CutPiece:
    """Model to supervisor: piece `number` (from 1) of a long file; `audio` is a FLAC."""

    attempt_id: str
    number: int
    audio: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class CutDone:
    """Model to supervisor: all pieces of a long file have been sent; where they are, in order."""

    attempt_id: str
    cut: Cut
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """Model to supervisor: the whole transcript."""

    attempt_id: str
    transcript: Transcript


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """Model to supervisor: this job cannot be done; `retryable` when another attempt may go better.

    `is_unreadable`: its file has broken or exhausted its reader, and is not to be looked at again.
    """

    attempt_id: str
    code: str
    message: str
    retryable: bool
    is_unreadable: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopped:
    """Model to supervisor: given up as told."""

    attempt_id: str


FromSupervisor = Transcribe | Stop | Canary
FromModel = Ready | Able | Unable | CannotLoad | Moved | Progress | CutPiece | CutDone | Done | Failed | Stopped
