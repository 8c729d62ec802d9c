"""Turns the findings of a reading and a decode into the report for the caller."""

from __future__ import annotations

from dataclasses import dataclass, field

from shared.audio.containers import Container
from shared.audio.report import AudioInfo, AudioWarning, Decoded, Level, Track, WarningCode
from shared.audio.request import SAMPLE_RATE_HZ
from shared.audio.sound import SILENT_PEAK, Samples, Sound

#: How much of the length that a header states may be missing before the caller is warned. Encoders count their padding, and
#: recorders their headers. More may be missing where the header gives the length of the whole file, or an estimate.
SLACK_SECONDS, GUESSED_SLACK_SECONDS, SLACK_SHARE = 0.15, 0.5, 0.002
#: Speech is at -12 to -35 dBFS. The RMS includes pauses.
QUIET_PEAK_DBFS, QUIET_RMS_DBFS = -36.0, -56.0
#: One sample in a thousand at full scale is audible.
CLIPPED_SHARE = 0.001
#: A smaller share of time in which channels cancel each other is chance.
CANCELLED_SHARE = 0.1
#: How many stretches of skipped packets are listed.
MOST_PLACES = 20


@dataclass
class Heard:
    """The findings of a reading at its end. Lengths in seconds.

    `promised`: the length that the file's headers state, None where one of its programmes states none; `found`: the length found.
    """

    seconds: float = 0.0
    promised: float | None = 0.0
    found: float = 0.0
    is_exact: bool = True
    #: Places where something could not be read, or was missing.
    faults: int = 0
    packets: int = 0
    tracks: list[Track] = field(default_factory=list)
    track: int = 1
    sample_rate_hz: int = 0
    channels: int = 0


@dataclass
class Skipped:
    """Packets that could not be decoded. `is_cut_off`: there was more sound than the file's packets account for."""

    packets: int = 0
    seconds: float = 0.0
    at: list[tuple[float, float]] = field(default_factory=list)
    is_cut_off: bool = False
    #: Sound that was cut because earlier sound already filled its time.
    overlap_seconds: float = 0.0

    def note(self, at: float, seconds: float) -> None:
        """Count a skipped packet. Stretches less than 50 ms apart become one."""
        self.packets += 1
        self.seconds += seconds
        start, end = round(max(0.0, at), 3), round(max(0.0, at + seconds), 3)
        if self.at and start - self.at[-1][1] < 0.05:
            self.at[-1] = (self.at[-1][0], end)
        elif len(self.at) < MOST_PLACES:
            self.at.append((start, end))


def info_of(container: Container, heard: Heard, is_track_chosen: bool) -> AudioInfo:
    """The report on a file that has been read to its end."""
    return AudioInfo(
        container=container,
        seconds=heard.seconds,
        sample_rate_hz=heard.sample_rate_hz,
        channels=heard.channels,
        tracks=heard.tracks,
        track=heard.track,
        packets=heard.packets,
        warnings=[*_incomplete(heard, Skipped()), *_other_tracks(heard, is_track_chosen)],
    )


def decoded(filled: Samples, sound: Sound, info: AudioInfo, heard: Heard, skipped: Skipped) -> Decoded:
    """The report on a file that has been decoded. `info`: the reading's report."""
    level, seconds = sound.level(), filled.shape[1] / SAMPLE_RATE_HZ
    others = [warning for warning in info.warnings if warning.code is not WarningCode.AUDIO_INCOMPLETE]
    return Decoded(
        rows=filled.shape[0],
        samples=filled.shape[1],
        audio=info.report().model_copy(update={"level": level}),
        warnings=[*_incomplete(heard, skipped), *others, *_of_level(level), *_cancelled(sound.cancelled_seconds, seconds)],
    )


def _incomplete(heard: Heard, skipped: Skipped) -> list[AudioWarning]:
    promised, found = heard.promised, max(0.0, heard.found - skipped.seconds)
    slack = (SLACK_SECONDS if heard.is_exact else GUESSED_SLACK_SECONDS) + SLACK_SHARE * (promised or 0.0)
    missing = promised - heard.found if promised is not None else 0.0
    reasons = []
    if missing > slack:
        reasons.append(f"its header promises {promised:.2f} s, and {found:.2f} s are there")
    if skipped.packets:
        reasons.append(f"{skipped.packets} damaged packets ({skipped.seconds:.2f} s) could not be decoded")
    if skipped.is_cut_off:
        reasons.append("it holds more sound than its packets account for")
    if skipped.overlap_seconds > SLACK_SECONDS:
        reasons.append(f"{skipped.overlap_seconds:.2f} s of it have times that other sound has, too")
    if heard.faults and not reasons:
        reasons.append("parts of it are damaged or missing, and could not be read")
    if not reasons:
        return []
    told = AudioWarning(
        code=WarningCode.AUDIO_INCOMPLETE,
        message=f"The transcript lacks a part of the audio: {'; '.join(reasons)}.",
        promised_seconds=round(promised, 3) if promised is not None and missing > slack else None,
        found_seconds=round(found, 3),
        skipped_packets=skipped.packets,
        skipped_at=skipped.at or None,
    )
    return [told]


def _other_tracks(heard: Heard, is_track_chosen: bool) -> list[AudioWarning]:
    count = len(heard.tracks)
    if count < 2 or is_track_chosen:
        return []
    message = f"The file has {count} audio tracks, of which track {heard.track} was taken; send track=N for another."
    return [AudioWarning(code=WarningCode.OTHER_TRACKS, message=message, tracks=count)]


def _of_level(level: Level) -> list[AudioWarning]:
    peak, rms = level.peak_dbfs, level.rms_dbfs
    found = []
    if 10 ** (peak / 20) <= SILENT_PEAK:
        message = "There is no sound in the audio; check the microphone and the export."
        found.append(AudioWarning(code=WarningCode.SILENT_AUDIO, message=message, peak_dbfs=peak, rms_dbfs=rms))
    elif peak < QUIET_PEAK_DBFS or rms < QUIET_RMS_DBFS:
        message = (
            f"The audio is very quiet (peak {peak:.0f} dBFS, RMS {rms:.0f} dBFS), and words may be missing; record it louder."
        )
        found.append(AudioWarning(code=WarningCode.QUIET_AUDIO, message=message, peak_dbfs=peak, rms_dbfs=rms))
    if level.clipped_share >= CLIPPED_SHARE:
        message = f"{level.clipped_share:.1%} of the samples are at full scale: it was recorded too loud, and is distorted."
        found.append(AudioWarning(code=WarningCode.CLIPPED_AUDIO, message=message, clipped_share=level.clipped_share))
    return found


def _cancelled(cancelled_seconds: float, seconds: float) -> list[AudioWarning]:
    if cancelled_seconds <= CANCELLED_SHARE * seconds:
        return []
    message = f"For {cancelled_seconds:.1f} s the channels cancel each other (opposite phase); the louder one was taken."
    return [AudioWarning(code=WarningCode.CHANNELS_CANCELLED, message=message, cancelled_seconds=round(cancelled_seconds, 2))]
