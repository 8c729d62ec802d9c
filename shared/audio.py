"""What uploaded audio is: container, length, rate, channels. Headers only; nothing is decoded.

libsndfile reads what it knows, FFmpeg (PyAV) the rest. FFmpeg never guesses the format: its demuxer is forced from the
container that the bytes show, so that no playlist, concat script or manifest can make it open a file or an address.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import av
import av.container
import numpy as np
import soundfile

from shared.containers import Container, id3_bytes, sniff
from shared.errors import AudioTooLong, AudioTooShort, MalformedAudio, UnsupportedAudio
from shared.wav import plain_frames, wav_header, with_known_length

__all__ = ["AudioInfo", "Container", "open_av", "probe", "sniff", "with_known_length"]

MAX_RATE_HZ = 768_000
MAX_CHANNELS = 8
BLOCK_FRAMES = 1 << 16
#: libsndfile says so when a FLAC stream does not tell its length.
UNKNOWN_FRAMES = 1 << 62

#: FFmpeg's demuxer where its name is not ours.
_DEMUXERS = {Container.MP4: "mov", Container.WEBM: "matroska"}
_SOUNDFILE = frozenset({Container.WAV, Container.FLAC, Container.OGG, Container.MP3, Container.AIFF, Container.CAF, Container.AU})
#: Their headers state the length of the audio track; FFmpeg only estimates that of the others.
_STATES_LENGTH = frozenset({Container.MP4, Container.WEBM, Container.ASF, Container.AVI, Container.WAV, Container.CAF})


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What the headers say."""

    container: Container
    seconds: float
    sample_rate_hz: int
    channels: int


@contextmanager
def open_av(content: bytes, container: Container) -> Iterator[av.container.InputContainer]:
    """The content in FFmpeg's demuxer for `container`, with at least one audio stream. Nested resources are never opened.

    Raises `MalformedAudio` when it cannot be opened or holds no audio; errors inside the `with` block stay FFmpeg's.
    """
    demuxer = _DEMUXERS.get(container, container.value)
    try:
        opened = av.open(
            io.BytesIO(content), "r", format=demuxer, options={"protocol_whitelist": "none"}, metadata_errors="replace"
        )
    except (av.FFmpegError, ValueError, OSError, EOFError) as error:
        raise _damaged(container) from error
    with opened:
        if not opened.streams.audio:
            raise MalformedAudio("The file has no audio track.")
        yield opened


def _damaged(container: Container) -> MalformedAudio:
    return MalformedAudio(f"The {container.value} file is damaged or cut short; export it again and resubmit.")


def probe(content: bytes, *, min_seconds: float, max_seconds: float) -> AudioInfo:
    """What the headers say, checked against what the bytes hold. Pass what `with_known_length` gave.

    Raises `EmptyAudio`, `NotAudio`, `MalformedAudio`, `UnsupportedAudio`, `AudioTooShort`, and `AudioTooLong` for a header
    that promises more than `max_seconds`, before anything else of the audio is looked at.
    """
    container = sniff(content)
    info = _check_wav(content, max_seconds) if container is Container.WAV else None
    if container is Container.MP3:
        _check_mp3(content)
    if info is None and container in _SOUNDFILE:
        info = _probe_soundfile(content, container, max_seconds)
    info = info or _probe_av(content, container, max_seconds)
    _check_length(info.seconds, max_seconds)
    if info.seconds < min_seconds:
        raise AudioTooShort(f"The audio is {info.seconds:.3f} s long; at least {min_seconds:g} s are needed.")
    return info


def _check_length(seconds: float, max_seconds: float) -> None:
    if seconds > max_seconds:
        raise AudioTooLong(f"The audio is {seconds:.1f} s long; at most {max_seconds:g} s are taken. Split it first.")


def _check_shape(rate_hz: int, channels: int) -> None:
    if not 0 < rate_hz <= MAX_RATE_HZ:
        raise UnsupportedAudio(f"A sample rate of {rate_hz} Hz cannot be transcribed; resample to 16000 Hz.")
    if not 0 < channels <= MAX_CHANNELS:
        raise UnsupportedAudio(f"{channels} channels cannot be transcribed; at most {MAX_CHANNELS} are taken. Mix it down.")


def _check_wav(content: bytes, max_seconds: float) -> AudioInfo | None:
    """Raises what is wrong with the header. Of a plain wav it tells all; None for others, for which libsndfile is asked."""
    if content[:4] == b"RIFX":
        return None
    header = wav_header(content)
    if header is None:
        raise _damaged(Container.WAV)
    _check_shape(header.rate_hz, header.channels)
    if header.is_streamed:
        return None
    if header.bytes_per_second:
        _check_length(header.data_bytes / header.bytes_per_second, max_seconds)
    if header.data_at + header.data_bytes > len(content):
        raise _damaged(Container.WAV)
    frames = plain_frames(content)
    return None if frames is None else AudioInfo(Container.WAV, frames / header.rate_hz, header.rate_hz, header.channels)


class _Forgiving(io.BytesIO):
    """A damaged file sends libsndfile before its start: stay put, instead of a traceback out of a C callback."""

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        try:
            return super().seek(offset, whence)
        except ValueError:
            return self.tell()


def _probe_soundfile(content: bytes, container: Container, max_seconds: float) -> AudioInfo | None:
    """None when libsndfile cannot read this codec or does not know the length: FFmpeg's turn."""
    try:
        with soundfile.SoundFile(_Forgiving(content)) as opened:
            _check_shape(opened.samplerate, opened.channels)
            if (not opened.frames and container is Container.OGG) or opened.frames >= UNKNOWN_FRAMES:
                return None
            seconds = opened.frames / opened.samplerate
            _check_length(seconds, max_seconds)
            if container is Container.FLAC:
                _check_end(opened)
            if opened.subtype in ("FLOAT", "DOUBLE"):
                _check_numbers(opened)
            return AudioInfo(container, seconds, opened.samplerate, opened.channels)
    except (soundfile.LibsndfileError, RuntimeError):
        return None


def _check_end(opened: soundfile.SoundFile) -> None:
    """A FLAC that was cut still promises its full length: its last sample must be there."""
    try:
        opened.seek(max(0, opened.frames - 1))
        complete = len(opened.read(1)) == min(1, opened.frames)
    except soundfile.LibsndfileError:
        complete = False
    if not complete:
        raise _damaged(Container.FLAC)


def _check_mp3(content: bytes) -> None:
    """Most encoders write the stream's length in bytes into the first frame (the Xing tag); tools that edit tags round it."""
    start = id3_bytes(content)
    at = max(content.find(mark, start, start + 64) for mark in (b"Xing", b"Info"))
    if at < 0 or at + 16 > len(content):
        return
    flags = int.from_bytes(content[at + 4 : at + 8], "big")
    promised = int.from_bytes(content[at + 8 + 4 * (flags & 1) :][:4], "big") if flags & 2 else 0
    if promised * 0.95 > len(content) - start:
        raise _damaged(Container.MP3)


def _check_numbers(opened: soundfile.SoundFile) -> None:
    for block in opened.blocks(blocksize=BLOCK_FRAMES, dtype="float64"):
        if not np.isfinite(block).all():
            raise UnsupportedAudio("Some samples are no finite numbers (NaN or infinity); export the audio again.")


def _probe_av(content: bytes, container: Container, max_seconds: float) -> AudioInfo:
    try:
        with open_av(content, container) as opened:
            stream = opened.streams.audio[0]
            if stream.codec_context is None:
                raise UnsupportedAudio("The audio's codec is unknown; convert it to wav, flac or ogg.")
            _check_shape(stream.rate or 0, stream.channels)
            promised = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else None
            if promised is None and opened.duration:
                promised = opened.duration / av.time_base
            if promised and container in _STATES_LENGTH:
                _check_length(promised, max_seconds)
            seconds = _demuxed_seconds(opened, stream, max_seconds)
            # Cut behind its header, a file promises more than it holds. A video's length is not that of its sound.
            exact = container in _STATES_LENGTH and (stream.duration or not opened.streams.video)
            if exact and promised and seconds < 0.95 * promised - 0.5:
                raise _damaged(container)
            return AudioInfo(container, seconds, stream.rate, stream.channels)
    except (av.FFmpegError, ValueError, OSError, EOFError, OverflowError) as error:
        raise _damaged(container) from error


def _demuxed_seconds(opened: av.container.InputContainer, stream: av.AudioStream, max_seconds: float) -> float:
    """Length by walking the packets undecoded (browsers record webm without a duration), stopped once it is too long."""
    end, packets = 0.0, 0
    for packet in opened.demux(stream):
        if packet.pts is not None and packet.time_base is not None:
            packets += 1
            end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            _check_length(end - float((stream.start_time or 0) * packet.time_base), max_seconds)
    if not packets:
        raise MalformedAudio("The audio track is empty or damaged; export it again and resubmit.")
    return end - float((stream.start_time or 0) * (stream.time_base or 0))
