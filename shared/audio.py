"""What uploaded bytes are, told from the bytes alone: container, length, rate, channels. Headers only; nothing is decoded.

libsndfile reads what it knows, FFmpeg (PyAV) the rest. FFmpeg never guesses the format: its demuxer is forced from the
container sniffed here, so that no playlist, concat script or manifest can make it open a file or an address.
"""

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import NoReturn

import av
import av.container
import numpy as np
import soundfile

from shared.errors import AudioTooLong, AudioTooShort, EmptyAudio, MalformedAudio, NotAudio, UnsupportedAudio

MAX_RATE_HZ = 768_000
MAX_CHANNELS = 8
BLOCK_FRAMES = 1 << 16
#: libsndfile says so when a FLAC stream does not tell its length.
UNKNOWN_FRAMES = 1 << 62


class Container(str, Enum):
    """A file format that carries audio (and maybe video)."""

    WAV = "wav"
    FLAC = "flac"
    OGG = "ogg"
    MP3 = "mp3"
    MP4 = "mp4"
    AAC = "aac"
    WEBM = "webm"
    AIFF = "aiff"
    CAF = "caf"
    AU = "au"
    AMR = "amr"
    ASF = "asf"
    AVI = "avi"


#: FFmpeg's demuxer where its name is not ours.
_DEMUXERS = {Container.MP4: "mov", Container.WEBM: "matroska"}
_SOUNDFILE = frozenset({Container.WAV, Container.FLAC, Container.OGG, Container.MP3, Container.AIFF, Container.CAF, Container.AU})
#: Their headers state the length of the audio track; FFmpeg only estimates that of the others.
_STATES_LENGTH = frozenset({Container.MP4, Container.WEBM, Container.ASF, Container.AVI, Container.WAV, Container.CAF})

_MAGIC = (
    (b"fLaC", Container.FLAC),
    (b"OggS", Container.OGG),
    (b"\x1aE\xdf\xa3", Container.WEBM),
    (b"caff", Container.CAF),
    (b".snd", Container.AU),
    (b"#!AMR", Container.AMR),
    (b"0&\xb2u\x8ef\xcf\x11", Container.ASF),
)
_FORMS = {b"WAVE": Container.WAV, b"AVI ": Container.AVI, b"AIFF": Container.AIFF, b"AIFC": Container.AIFF}
_MP4_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"})
_MISTAKEN = ((b"<", "an HTML or XML page"), (b"%PDF", "a PDF"), (b"PK\x03\x04", "a zip archive"), (b"\x1f\x8b", "gzip-compressed"),
             (b"\x89PNG", "an image"), (b"\xff\xd8\xff", "an image"), (b"GIF8", "an image"), (b"#EXTM3U", "a playlist"))  # fmt: skip


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What the headers say."""

    container: Container
    seconds: float
    sample_rate_hz: int
    channels: int


def sniff(content: bytes) -> Container:
    """The container, from the first bytes. Raises `EmptyAudio` and `NotAudio`."""
    if not content:
        raise EmptyAudio("The audio is empty; send the bytes of an audio file.")
    head = content[:16]
    for magic, container in _MAGIC:
        if head.startswith(magic):
            return container
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"FORM") and head[8:12] in _FORMS:
        return _FORMS[head[8:12]]
    if head[4:8] in _MP4_BOXES and head[:1] == b"\0":
        return Container.MP4
    if head.startswith(b"ID3"):
        return _behind_id3(content)
    return _frames_at(content, 0) or _refuse(content)


def _behind_id3(content: bytes) -> Container:
    """ID3 tags stand before mp3, and now and then before flac and aac."""
    size = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(content[6:10], (21, 14, 7, 0), strict=False))
    if content[size : size + 4] == b"fLaC":
        return Container.FLAC
    return _frames_at(content, size) or Container.MP3


def _frames_at(content: bytes, at: int) -> Container | None:
    """MPEG audio has no file header: believe it when one frame's length leads to the next frame (or the end)."""
    head = content[at : at + 6]
    if len(head) < 6 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    if head[1] & 0xF6 == 0xF0:
        length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
        kind, mask = Container.AAC, 0xF6
    else:
        length, kind, mask = _mpeg_frame_bytes(head), Container.MP3, 0xFE
    following = content[at + length : at + length + 2]
    if length < 7 or len(following) == 1 or (following and (following[0] != 0xFF or (following[1] ^ head[1]) & mask)):
        return None
    return kind


def _mpeg_frame_bytes(head: bytes) -> int:
    """Length of an MPEG layer III frame; 0 when this is no such frame."""
    version, layer, bitrate, rate = head[1] >> 3 & 3, head[1] >> 1 & 3, head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer != 1 or bitrate in (0, 15) or rate == 3:
        return 0
    first = version == 3
    kbps = ((32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320) if first
            else (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160))[bitrate - 1]  # fmt: skip
    rate_hz = (44_100, 48_000, 32_000)[rate] >> {3: 0, 2: 1, 0: 2}[version]
    return (144 if first else 72) * kbps * 1000 // rate_hz + (head[2] >> 1 & 1)


def _refuse(content: bytes) -> NoReturn:
    head = content[:256].lstrip()
    looks = next((f" (it looks like {what})" for magic, what in _MISTAKEN if head.startswith(magic)), "")
    raise NotAudio(f"The content is no audio we know{looks}; send wav, flac, ogg, opus, mp3, m4a, aac or webm.")


@contextmanager
def open_av(content: bytes, container: Container) -> Iterator[av.container.InputContainer]:
    """The content in FFmpeg's demuxer for `container`, with at least one audio stream. Nested resources are never opened.

    Raises `MalformedAudio` when it cannot be opened or holds no audio; errors inside the `with` block stay FFmpeg's.
    """
    demuxer = _DEMUXERS.get(container, container.value)
    try:
        opened = av.open(io.BytesIO(content), format=demuxer, options={"protocol_whitelist": "none"}, metadata_errors="replace")
    except (av.FFmpegError, ValueError, OSError, EOFError) as error:
        raise _damaged(container) from error
    with opened:
        if not opened.streams.audio:
            raise MalformedAudio("The file has no audio track.")
        yield opened


def _damaged(container: Container) -> MalformedAudio:
    return MalformedAudio(f"The {container.value} file is damaged or cut short; export it again and resubmit.")


def probe(content: bytes, *, min_seconds: float, max_seconds: float) -> AudioInfo:
    """What the headers say, checked against what the bytes hold.

    Raises `EmptyAudio`, `NotAudio`, `MalformedAudio`, `UnsupportedAudio`, `AudioTooShort`, and `AudioTooLong` for a header
    that promises more than `max_seconds`, before anything else of the audio is looked at.
    """
    container = sniff(content)
    if container is Container.WAV:
        _check_wav(content, max_seconds)
    info = _probe_soundfile(content, container, max_seconds) if container in _SOUNDFILE else None
    info = info or _probe_av(content, container, max_seconds)
    _check_length(info.seconds, max_seconds)
    if info.seconds < min_seconds:
        raise AudioTooShort(f"The audio is {info.seconds:.3f} s long; at least {min_seconds:g} s are needed.")
    return info


def _check_length(seconds: float, max_seconds: float) -> None:
    if seconds > max_seconds:
        raise AudioTooLong(f"The audio is {seconds:.0f} s long; at most {max_seconds:g} s are taken. Split it and submit the parts.")


def _check_shape(rate_hz: int, channels: int) -> None:
    if not 0 < rate_hz <= MAX_RATE_HZ:
        raise UnsupportedAudio(f"A sample rate of {rate_hz} Hz cannot be transcribed; resample to 16000 Hz.")
    if not 0 < channels <= MAX_CHANNELS:
        raise UnsupportedAudio(f"{channels} channels cannot be transcribed; at most {MAX_CHANNELS} are taken. Mix it down to mono.")


def _probe_soundfile(content: bytes, container: Container, max_seconds: float) -> AudioInfo | None:
    """None when libsndfile cannot read this codec or does not know the length: FFmpeg's turn."""
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as opened:
            _check_shape(opened.samplerate, opened.channels)
            if opened.frames >= UNKNOWN_FRAMES:
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
    """A cut FLAC still promises its full length: its last sample must be there."""
    try:
        opened.seek(max(0, opened.frames - 1))
        complete = len(opened.read(1)) == min(1, opened.frames)
    except soundfile.LibsndfileError:
        complete = False
    if not complete:
        raise _damaged(Container.FLAC)


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
            # An mp4 that was cut behind its index promises more than it holds.
            if container is Container.MP4 and promised and seconds < 0.95 * promised - 1.0:
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
        raise _damaged(sniff_demuxer(opened))
    return end - float((stream.start_time or 0) * (stream.time_base or 0))
