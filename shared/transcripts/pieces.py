"""A long file in pieces: where each piece lies, and what is known of the whole file once it has been cut."""

from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from shared.audio.report import AudioReport, AudioWarning

#: The length of audio that Whisper decodes at a time. No piece is longer.
WINDOW_MS = 30_000


class Cut(BaseModel):
    """What is known of a whole file once it has been cut."""

    model_config = ConfigDict(frozen=True)

    duration: float
    preprocess_ms: float
    #: None if the worker that cut the file detected no language: then each piece's decode does.
    language: str | None = None
    language_probability: float = 1.0
    audio: AudioReport | None = None
    warnings: list[AudioWarning] = []


@dataclass(frozen=True)
class Piece:
    """A stretch of a file, in milliseconds from the file's start. Two pieces overlap if the cut between them fell into speech."""

    start_ms: int
    end_ms: int
    #: It may hold a silence that the VAD would take out. Only known for pieces that have just been cut.
    has_pause: bool = field(default=True, compare=False)
    #: The channel, counted from 1, if channels are split.
    channel: int | None = None

    @property
    def name(self) -> str:
        """The name of the piece in Redis: "from-to" in ms; of split channels "from-to@channel"."""
        return f"{self.start_ms}-{self.end_ms}" + (f"@{self.channel}" if self.channel is not None else "")

    @classmethod
    def named(cls, name: str) -> "Piece":
        """The piece that `name` names."""
        times, _, channel = name.partition("@")
        start, _, end = times.partition("-")
        return cls(int(start), int(end), channel=int(channel) if channel else None)
