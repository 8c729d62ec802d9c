"""The canonical transcript: what a worker writes, what is cached, and what every format is rendered from."""

from collections.abc import Sequence
from itertools import groupby

from pydantic import BaseModel, ConfigDict

from shared.audio.report import AudioReport, AudioWarning


class Word(BaseModel):
    """One word; times in seconds from the start of the audio."""

    model_config = ConfigDict(frozen=True)

    word: str
    start: float
    end: float
    probability: float
    #: Of split channels: whose word it is, counted from 1.
    channel: int | None = None


class Segment(BaseModel):
    """A stretch of speech; times in seconds. `confidence` is exp(avg_logprob), between 0 and 1."""

    model_config = ConfigDict(frozen=True)

    id: int
    start: float
    end: float
    text: str
    confidence: float
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float
    temperature: float = 0.0
    tokens: list[int] = []
    words: list[Word] | None = None
    #: Of split channels: who speaks, counted from 1.
    channel: int | None = None


class Transcript(BaseModel):
    """What one decode of one audio by one model gave. Free of everything that belongs to a single job."""

    model_config = ConfigDict(frozen=True)

    transcript: str
    task: str = "transcribe"
    language: str
    language_probability: float
    duration: float
    segments: list[Segment]
    preprocess_ms: float
    transcribe_ms: float
    model: str
    model_revision: str
    device: str
    #: `full`, `adaptive` (all windows were short), or `mixed`; how many were short, and how many of these were made anew.
    encoder_window: str = "full"
    short_windows: int = 0
    window_fallbacks: int = 0
    #: Everything about the worker that decides the transcript: what it is cached under.
    decoded_as: str = ""
    #: What was heard of the file, and what was not.
    audio: AudioReport | None = None
    warnings: list[AudioWarning] = []


def join_text(segments: Sequence[Segment]) -> str:
    """The running text of segments."""
    return " ".join(segment.text.strip() for segment in segments if segment.text.strip())


def turns(segments: Sequence[Segment]) -> list[tuple[int | None, str]]:
    """What is said, by who says it: segments of one channel that follow each other are one turn."""
    spoken = [segment for segment in segments if segment.text.strip()]
    return [(channel, join_text(list(said))) for channel, said in groupby(spoken, key=lambda segment: segment.channel)]


def channel_name(channel: int | None) -> str:
    """As it is shown to people."""
    return f"Channel {channel}"


def is_of_several_channels(segments: Sequence[Segment]) -> bool:
    """Whether it must be said who speaks."""
    return len({segment.channel for segment in segments}) > 1


def merged(channels: Sequence[Sequence[Segment]]) -> list[Segment]:
    """The segments of several channels in order of time, numbered through, each with its channel (from 1) and so its words."""
    named = [
        segment.model_copy(update={"channel": number, "words": _of_channel(segment.words, number)})
        for number, segments in enumerate(channels, start=1)
        for segment in segments
    ]
    in_order = sorted(named, key=lambda segment: (segment.start, segment.channel))
    return [segment.model_copy(update={"id": number}) for number, segment in enumerate(in_order)]


def _of_channel(words: Sequence[Word] | None, channel: int) -> list[Word] | None:
    return [word.model_copy(update={"channel": channel}) for word in words] if words else None
