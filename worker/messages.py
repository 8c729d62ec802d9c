"""The messages between supervisor and model process, sent over their pipe. Imports nothing that loads a model."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.jobs.options import TranscriptionOptions
from shared.transcripts.pieces import Cut, Piece
from shared.transcripts.transcript import Segment, Transcript


@dataclass(frozen=True, kw_only=True, slots=True)
class Transcribe:
    """Supervisor to model: decode this. `audio` holds the bytes of the file as uploaded.

    `split_above_seconds`: longer audio is cut into pieces instead of being decoded; 0 never cuts. `urgent`: its calls to the
    model go before those of jobs that are not urgent.
    """

    attempt_id: str
    audio: bytes
    options: TranscriptionOptions
    max_seconds: float
    #: The audio's length and number of channels, as the probe found them.
    expected_seconds: float
    channels: int
    split_above_seconds: float = 0.0
    urgent: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Stop:
    """Supervisor to model: give this attempt up, at its next segment or its next call of the model."""

    attempt_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Canary:
    """Supervisor to model: run the canary transcription, to prove that you can still decode."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Able:
    """Model to supervisor: the canary transcription succeeded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unable:
    """Model to supervisor: the canary transcription raised. `reason` is the error's class."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ChosenEncoder:
    """The encoder that a model process uses: its name and precision as in the settings, and why it was chosen.

    `ms`: by name and precision, the milliseconds that each encoder took for a window, if they were measured.
    """

    name: str
    precision: str
    why: str = ""
    ms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """Model to supervisor: the model is loaded, and a canary transcription succeeded. `load_seconds` covers both."""

    model: str
    revision: str
    device: str
    encoder: ChosenEncoder
    load_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class CannotLoad:
    """Model to supervisor: the model cannot be loaded. `reason` is for the operator."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Moved:
    """Model to supervisor: the decode moves, though it may have no new segment."""

    attempt_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Model to supervisor: one more segment. `done_seconds`: how much of the audio is decoded."""

    attempt_id: str
    segment: Segment
    done_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class CutPiece:
    """Model to supervisor: piece `number` (from 1) of a long file. `audio` is a FLAC file."""

    attempt_id: str
    number: int
    audio: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class CutDone:
    """Model to supervisor: all pieces of a long file have been sent. `pieces` says where each lies, in order."""

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
    """Model to supervisor: this attempt failed. `retryable`: another attempt may succeed.

    `is_unreadable`: the file has broken or exhausted its reader, and must not be read again.
    """

    attempt_id: str
    code: str
    message: str
    retryable: bool
    is_unreadable: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopped:
    """Model to supervisor: the attempt was given up, as `Stop` asked."""

    attempt_id: str


FromSupervisor = Transcribe | Stop | Canary
FromModel = Ready | Able | Unable | CannotLoad | Moved | Progress | CutPiece | CutDone | Done | Failed | Stopped
