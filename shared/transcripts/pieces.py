"""A long file in pieces: where each lies, and what is known of the whole once it has been cut."""

from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from shared.audio.report import AudioReport, AudioWarning

#: What Whisper hears at a time: a piece is no longer.
WINDOW_MS = 30_000


class Cut(BaseModel):
    """What is known of a whole file once it has been cut."""

    model_config = ConfigDict(frozen=True)

    duration: float
    preprocess_ms: float
    #: None where the worker does not detect languages.
    language: str | None = None
    language_probability: float = 1.0
    audio: AudioReport | None = None
    warnings: list[AudioWarning] = []


@dataclass(frozen=True)
class Piece:
    """A stretch of a file, in milliseconds from its start. Two pieces overlap where the cut fell into speech."""

    start_ms: int
    end_ms: int
    #: It may hold a silence that a detector of speech would take out. Known of pieces that have just been cut.
    has_pause: bool = field(default=True, compare=False)
    #: Of split channels: which one, counted from 1.
    channel: int | None = None

    @property
    def name(self) -> str:
        """As the store knows it."""
        return f"{self.start_ms}-{self.end_ms}" + (f"@{self.channel}" if self.channel is not None else "")

    @classmethod
    def named(cls, name: str) -> "Piece":
        """The piece of a name."""
        times, _, channel = name.partition("@")
        start, _, end = times.partition("-")
        return cls(int(start), int(end), channel=int(channel) if channel else None)
