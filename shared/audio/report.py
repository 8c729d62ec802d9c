"""What a caller is told about the audio: its tracks, its level, and everything that did not go into the transcript."""

from enum import Enum
from typing import Any

from pydantic import BaseModel, ConfigDict, FiniteFloat

from shared.audio.containers import Container
from shared.audio.request import SAMPLE_RATE_HZ
from shared.errors import IncompleteAudio


class WarningCode(str, Enum):
    """What may be wrong with audio that was transcribed nevertheless."""

    #: Part of the audio is missing, or could not be decoded.
    AUDIO_INCOMPLETE = "audio_incomplete"
    #: So quiet that words may be missed.
    QUIET_AUDIO = "quiet_audio"
    #: No sound at all.
    SILENT_AUDIO = "silent_audio"
    #: Recorded too loud: peaks are cut off.
    CLIPPED_AUDIO = "clipped_audio"
    #: The channels cancel each other, so the louder one was taken instead of their mix.
    CHANNELS_CANCELLED = "channels_cancelled"
    #: There is more than one audio track, and the caller did not choose one.
    OTHER_TRACKS = "other_tracks"


class AudioWarning(BaseModel):
    """A warning with its numbers. Times and lengths in seconds."""

    model_config = ConfigDict(frozen=True)

    code: WarningCode
    message: str
    promised_seconds: float | None = None
    found_seconds: float | None = None
    #: How many packets could not be decoded, and the (start, end) of each stretch in the audio (the first 20).
    skipped_packets: int | None = None
    skipped_at: list[tuple[float, float]] | None = None
    tracks: int | None = None
    peak_dbfs: float | None = None
    rms_dbfs: float | None = None
    clipped_share: float | None = None
    cancelled_seconds: float | None = None

    def refuse_if_incomplete(self) -> None:
        """For a caller who wants the whole audio or nothing. Raises `IncompleteAudio`."""
        if self.code is WarningCode.AUDIO_INCOMPLETE:
            raise IncompleteAudio(f"{self.message} Send it whole, or without strict.")

    def plain(self) -> dict[str, Any]:
        """As JSON, without the fields that are None."""
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
    """The level of the audio. 0 dBFS is full scale; `clipped_share` is the share of samples at full scale."""

    model_config = ConfigDict(frozen=True)

    rms_dbfs: FiniteFloat
    peak_dbfs: FiniteFloat
    clipped_share: FiniteFloat


class AudioReport(BaseModel):
    """The tracks of a file, the chosen track, and its number of channels. The level is known once the file has been decoded."""

    model_config = ConfigDict(frozen=True)

    tracks: list[Track] = []
    track: int = 1
    channels: int = 1
    level: Level | None = None


class AudioInfo(BaseModel):
    """The result of a probe."""

    model_config = ConfigDict(frozen=True)

    container: Container
    seconds: FiniteFloat
    sample_rate_hz: int
    channels: int
    tracks: list[Track] = []
    track: int = 1
    warnings: list[AudioWarning] = []
    #: Packets read, over all programmes.
    packets: int = 0

    def report(self) -> AudioReport:
        """For the job's record."""
        return AudioReport(tracks=self.tracks, track=self.track, channels=self.channels)


class Decoded(BaseModel):
    """The result of a decode: `rows` channels of `samples` each in the buffer, with a report and warnings."""

    model_config = ConfigDict(frozen=True)

    rows: int
    samples: int
    audio: AudioReport
    warnings: list[AudioWarning] = []

    @property
    def seconds(self) -> float:
        return self.samples / SAMPLE_RATE_HZ
