"""What a caller is told about their audio: its tracks, its level, and everything that did not go into the transcript."""

from enum import Enum
from typing import Any

from pydantic import BaseModel, ConfigDict, FiniteFloat

from shared.audio.containers import Container
from shared.audio.request import SAMPLE_RATE_HZ
from shared.errors import IncompleteAudio


class WarningCode(str, Enum):
    """What may be wrong with audio that was transcribed all the same."""

    #: Some of it is not there, or could not be decoded.
    AUDIO_INCOMPLETE = "audio_incomplete"
    #: So quiet that words may be missed.
    QUIET_AUDIO = "quiet_audio"
    #: No sound at all.
    SILENT_AUDIO = "silent_audio"
    #: Recorded too loud: peaks are cut off.
    CLIPPED_AUDIO = "clipped_audio"
    #: The channels cancel each other, so the louder one was taken instead of their mix.
    CHANNELS_CANCELLED = "channels_cancelled"
    #: There is more than one audio track, and nobody said which one is meant.
    OTHER_TRACKS = "other_tracks"


class AudioWarning(BaseModel):
    """One of them, with its numbers. Times and lengths in seconds."""

    model_config = ConfigDict(frozen=True)

    code: WarningCode
    message: str
    promised_seconds: float | None = None
    found_seconds: float | None = None
    #: Packets that could not be decoded, and from when to when they would have been heard (the first 20).
    skipped_packets: int | None = None
    skipped_at: list[tuple[float, float]] | None = None
    tracks: int | None = None
    peak_dbfs: float | None = None
    rms_dbfs: float | None = None
    clipped_share: float | None = None
    cancelled_seconds: float | None = None

    def refuse_if_incomplete(self) -> None:
        """For a caller who wants all of it or nothing. Raises `IncompleteAudio`."""
        if self.code is WarningCode.AUDIO_INCOMPLETE:
            raise IncompleteAudio(f"{self.message} Send it whole, or without strict.")

    def plain(self) -> dict[str, Any]:
        """For JSON, without the numbers that it has not."""
        return self.model_dump(mode="json", exclude_none=True)


class Track(BaseModel):
    """An audio track, counted from 1 in the order of the file."""

    model_config = ConfigDict(frozen=True)

    track: int
    codec: str | None = None
    channels: int
    sample_rate_hz: int
    language: str | None = None
    title: str | None = None
    default: bool = False


class Level(BaseModel):
    """How loud it is. 0 dBFS is full scale; `clipped_share` of the samples are at it."""

    model_config = ConfigDict(frozen=True)

    rms_dbfs: FiniteFloat
    peak_dbfs: FiniteFloat
    clipped_share: FiniteFloat


class AudioReport(BaseModel):
    """The tracks of a file, which of them is heard, and its channels. The level is known once it has been decoded."""

    model_config = ConfigDict(frozen=True)

    tracks: list[Track] = []
    track: int = 1
    channels: int = 1
    level: Level | None = None


class AudioInfo(BaseModel):
    """What a probe tells of a file."""

    model_config = ConfigDict(frozen=True)

    container: Container
    seconds: FiniteFloat
    sample_rate_hz: int
    channels: int
    tracks: list[Track] = []
    track: int = 1
    warnings: list[AudioWarning] = []
    #: How many were read, all programmes together.
    packets: int = 0

    def report(self) -> AudioReport:
        """For the job's record."""
        return AudioReport(tracks=self.tracks, track=self.track, channels=self.channels)


class Decoded(BaseModel):
    """What a decode has put into its buffer: `rows` channels of `samples` each, and what there is to say about them."""

    model_config = ConfigDict(frozen=True)

    rows: int
    samples: int
    audio: AudioReport
    warnings: list[AudioWarning] = []

    @property
    def seconds(self) -> float:
        return self.samples / SAMPLE_RATE_HZ
