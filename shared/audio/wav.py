"""Wav without a library: the simplest kind, which is most of the traffic, and the header that is put before raw PCM."""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from shared.audio.containers import Container
from shared.audio.content import Content
from shared.audio.report import AudioInfo, Track
from shared.audio.request import MAX_CHANNELS, MAX_RATE_HZ, MIN_RATE_HZ
from shared.errors import MalformedAudio

#: A wav has a handful of chunks; more than this is an attempt to keep a process busy.
MAX_CHUNKS = 1000
#: The header that most programs write: RIFF, WAVE, a `fmt ` chunk of 16 bytes, and `data` directly behind it.
_PLAIN = struct.Struct("<4sI4s4sIHHIIHH4sI")
_PCM, _FLOAT, _ALAW, _MULAW = 1, 3, 6, 7
_PCM_BITS = 16
_UNPACKED = frozenset({_PCM, _FLOAT, _ALAW, _MULAW, 0xFFFE})


class PcmEncoding(str, Enum):
    """The encodings of raw PCM that a caller can declare."""

    S16LE = "s16le"
    F32LE = "f32le"
    MULAW = "mulaw"
    ALAW = "alaw"


_WAV_CODECS: Mapping[PcmEncoding, tuple[int, int]] = {
    PcmEncoding.S16LE: (_PCM, 16),
    PcmEncoding.F32LE: (_FLOAT, 32),
    PcmEncoding.MULAW: (_MULAW, 8),
    PcmEncoding.ALAW: (_ALAW, 8),
}


@dataclass(frozen=True, slots=True)
class PlainWav:
    """A 16-bit PCM wav: its data begin after 44 bytes and fill the remaining file."""

    rate_hz: int
    channels: int
    frames: int

    data_at = _PLAIN.size

    @property
    def seconds(self) -> float:
        return self.frames / self.rate_hz

    @property
    def is_usual(self) -> bool:
        """Whether the rate and the number of channels can be transcribed."""
        return MIN_RATE_HZ <= self.rate_hz <= MAX_RATE_HZ and self.channels <= MAX_CHANNELS


def plain_wav(content: Content) -> PlainWav | None:
    """A wav of the simplest kind: 16-bit PCM after a header of 44 bytes, up to the end of the file, and all numbers agree.

    None for every other wav, including valid ones. No sound that another reader would find is left out.
    """
    if len(content) <= _PLAIN.size:
        return None
    riff, _, wave, fmt, size, codec, channels, rate, per_second, frame, bits, data, data_bytes = _PLAIN.unpack_from(content)
    if (riff, wave, fmt, size, codec, bits, data) != (b"RIFF", b"WAVE", b"fmt ", 16, _PCM, _PCM_BITS, b"data"):
        return None
    agrees = frame == channels * bits // 8 > 0 and per_second == rate * frame > 0
    whole = data_bytes == len(content) - _PLAIN.size and data_bytes % frame == 0 if agrees else False
    return PlainWav(rate, channels, data_bytes // frame) if whole else None


def plain_info(wav: PlainWav) -> AudioInfo:
    """The report on a wav that needs no parser."""
    track = Track(track=1, codec="pcm_s16le", channels=wav.channels, sample_rate_hz=wav.rate_hz)
    return AudioInfo(
        container=Container.WAV, seconds=wav.seconds, sample_rate_hz=wav.rate_hz, channels=wav.channels, tracks=[track]
    )


def wav_of_pcm(data: bytes, encoding: PcmEncoding, rate_hz: int, channels: int) -> bytes:
    """Raw PCM as a wav. An incomplete last frame is dropped."""
    codec, bits = _WAV_CODECS[encoding]
    frame = channels * bits // 8
    whole = data[: len(data) - len(data) % frame]
    shape = (16, codec, channels, rate_hz, rate_hz * frame, frame, bits)
    return _PLAIN.pack(b"RIFF", 36 + len(whole), b"WAVE", b"fmt ", *shape, b"data", len(whole)) + whole


@dataclass(frozen=True, slots=True)
class WavShape:
    """The content of the `fmt ` and `data` chunks. `data_bytes` is None where the length was not known to the writer."""

    rate_hz: int
    channels: int
    bytes_per_second: int
    data_at: int
    data_bytes: int | None
    #: For compressed sound: the samples of each channel, by the `fact` chunk.
    frames: int | None = None


def wav_shape(content: Content, start: int) -> WavShape | None:
    """The header of the little-endian wav at `start`; None when a chunk is missing.

    Pipes and recorders write the header before they know the length: as 0, or as a number near the largest, signed or unsigned.
    """
    if content[start : start + 4] == b"RIFX":
        return None
    fields, long_bytes, frames = None, None, None
    for name, at, size in _chunks(content, start + 12):
        if name == b"fmt " and at + 16 <= len(content):
            fields = struct.unpack("<HHIIHH", content[at : at + 16])
        elif name == b"ds64" and at + 16 <= len(content):
            long_bytes = struct.unpack("<Q", content[at + 8 : at + 16])[0]
        elif name == b"fact" and at + 4 <= len(content):
            frames = struct.unpack("<I", content[at : at + 4])[0]
        elif name == b"data" and fields:
            is_streamed = size == 0 or 0x7FFF_0000 <= size <= 0x8000_FFFF or size >= 0xFFFF_0000
            stated = (long_bytes or None) if size == 0xFFFF_FFFF else None if is_streamed else size
            codec, channels, rate_hz, per_second, frame, bits = fields
            # For PCM the byte rate follows from the other numbers, and some recorders write a wrong one.
            is_pcm = bits > 0 and frame == channels * ((bits + 7) // 8)
            per_second, frames = (rate_hz * frame, None) if is_pcm or codec in _UNPACKED else (per_second, frames)
            return WavShape(rate_hz, channels, per_second, at, stated, frames)
    return None


def _chunks(content: Content, at: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, offset of the body, and stated size of each chunk. Raises `MalformedAudio` when there are more than `MAX_CHUNKS`."""
    for _ in range(MAX_CHUNKS):
        if at + 8 > len(content):
            return
        name, size = struct.unpack("<4sI", content[at : at + 8])
        yield name, at + 8, size
        at += 8 + size + size % 2
    raise MalformedAudio(f"The wav has more than {MAX_CHUNKS} chunks before its data; export it again.")


def promised_wav_seconds(content: Content, start: int) -> float | None:
    """The length that the header of a wav at `start` states, in seconds; None where it states none."""
    shape = wav_shape(content, start)
    if shape and shape.frames and shape.rate_hz and shape.data_bytes:
        return shape.frames / shape.rate_hz
    return shape.data_bytes / shape.bytes_per_second if shape and shape.data_bytes and shape.bytes_per_second else None
