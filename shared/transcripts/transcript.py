"""The canonical transcript: a worker writes it, the cache holds it, and every format is rendered from it."""

from collections.abc import Sequence
from itertools import groupby
from typing import Literal

from pydantic import BaseModel, ConfigDict

from shared.audio.report import AudioReport, AudioWarning

#: How much of a window of 30 s the model works on: all of it; the decoder only on the content; the encoder, too.
EncoderWindow = Literal["full", "trimmed", "adaptive"]


class Word(BaseModel):
    """One word. Times are seconds from the start of the audio."""

    model_config = ConfigDict(frozen=True)

    word: str
    start: float
    end: float
    probability: float
    #: The channel on which the word was said, counted from 1, if channels are split.
    channel: int | None = None


class Segment(BaseModel):
    """A stretch of speech. Times are seconds from the start of the audio. `confidence` is exp(avg_logprob), between 0 and 1."""

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
    #: The channel of the speaker, counted from 1, if channels are split.
    channel: int | None = None


class Transcript(BaseModel):
    """The result of one decode of one audio by one model. It holds nothing that belongs to a single job."""

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
    #: `ctranslate2` or `openvino`, and what it calculated in. None if a worker of an earlier release decoded or stitched it.
    encoder: str | None = None
    encoder_precision: str | None = None
    #: `full`, `trimmed` or `adaptive` (all windows were short), or `mixed`; how many windows were short; how many of these were
    #: decoded again.
    encoder_window: str = "full"
    short_windows: int = 0
    window_fallbacks: int = 0
    #: Everything about the worker that decides the transcript. It is part of the cache key.
    decoded_as: str = ""
    #: What was decoded of the file, and which parts of it were not.
    audio: AudioReport | None = None
    warnings: list[AudioWarning] = []


def join_text(segments: Sequence[Segment]) -> str:
    """The text of segments, in one line."""
    return " ".join(segment.text.strip() for segment in segments if segment.text.strip())


def turns(segments: Sequence[Segment]) -> list[tuple[int | None, str]]:
    """Channel and text of each turn. Segments of one channel that follow each other are one turn."""
    spoken = [segment for segment in segments if segment.text.strip()]
    return [(channel, join_text(list(said))) for channel, said in groupby(spoken, key=lambda segment: segment.channel)]


def channel_name(channel: int | None) -> str:
    """The name of a channel in texts."""
    return f"Channel {channel}"


def is_of_several_channels(segments: Sequence[Segment]) -> bool:
    """Whether segments come from more than one channel, so that a text must name the speakers."""
    return len({segment.channel for segment in segments}) > 1


def merged(channels: Sequence[Sequence[Segment]]) -> list[Segment]:
    """The segments of several channels in order of time, with new ids. Each segment and its words carry the channel (from 1)."""
    named = [
        segment.model_copy(update={"channel": number, "words": _of_channel(segment.words, number)})
        for number, segments in enumerate(channels, start=1)
        for segment in segments
    ]
    in_order = sorted(named, key=lambda segment: (segment.start, segment.channel))
    return [segment.model_copy(update={"id": number}) for number, segment in enumerate(in_order)]


def _of_channel(words: Sequence[Word] | None, channel: int) -> list[Word] | None:
    return [word.model_copy(update={"channel": channel}) for word in words] if words else None
