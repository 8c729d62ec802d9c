"""What a wav's header says, read without a library: for checks that those leave out, and as the answer where it is simple."""

import struct
from dataclasses import dataclass

#: A wav has a handful of chunks; more than this is an attempt to keep us busy.
MAX_CHUNKS = 1000
#: The header that most programs write: RIFF, WAVE, 16 bytes of `fmt `, and `data` at once.
_PLAIN = struct.Struct("<4sI4s4sIHHIIHH4sI")
_PCM, _PCM_BITS = 1, (8, 16, 24, 32)


@dataclass(frozen=True, slots=True)
class WavHeader:
    """The `fmt ` and `data` chunks."""

    rate_hz: int
    channels: int
    bytes_per_second: int
    data_at: int
    data_bytes: int

    @property
    def bytes_per_sample(self) -> int:
        """Of one channel."""
        return self.bytes_per_second // (self.rate_hz * self.channels)

    @property
    def is_streamed(self) -> bool:
        """Pipes write the header before they know the length: 0, or (nearly) the largest number there is."""
        return (
            self.data_bytes == 0 or 0x7FFF_0000 <= self.data_bytes <= 0x7FFF_FFFF or 0xFFFF_0000 <= self.data_bytes <= 0xFFFF_FFFF
        )


def wav_header(content: bytes) -> WavHeader | None:
    """The header of a little-endian wav; None when a chunk is missing."""
    at, shape, long_bytes = 12, None, None
    for _ in range(MAX_CHUNKS):
        if at + 8 > len(content):
            break
        name, size = struct.unpack_from("<4sI", content, at)
        if name == b"fmt " and at + 24 <= len(content):
            shape = struct.unpack_from("<HII", content, at + 10)
        elif name == b"ds64" and at + 24 <= len(content):
            long_bytes = struct.unpack_from("<Q", content, at + 16)[0]
        elif name == b"data":
            known = long_bytes if long_bytes is not None and size == 0xFFFFFFFF else size
            return WavHeader(shape[1], shape[0], shape[2], at + 8, known) if shape else None
        at += 8 + size + size % 2
    return None


def plain_frames(content: bytes) -> int | None:
    """How many frames a wav of the simplest kind holds: PCM behind 44 bytes of header, up to the end, and all numbers agree.

    None for every other wav, also for sound ones. Where there is an answer, libsndfile has the same.
    """
    if len(content) <= _PLAIN.size:
        return None
    riff, _, wave, fmt, size, codec, channels, rate, per_second, frame, bits, data, data_bytes = _PLAIN.unpack_from(content)
    if (riff, wave, fmt, size, codec, data) != (b"RIFF", b"WAVE", b"fmt ", 16, _PCM, b"data"):
        return None
    agrees = bits in _PCM_BITS and frame == channels * bits // 8 > 0 and per_second == rate * frame > 0
    whole = data_bytes == len(content) - _PLAIN.size
    return data_bytes // frame if agrees and whole and data_bytes % frame == 0 else None


def with_known_length(content: bytes) -> bytes:
    """The same bytes, except that a wav written to a pipe with length 0 states its length: libsndfile would read nothing."""
    header = wav_header(content) if content[:4] == b"RIFF" and content[8:12] == b"WAVE" else None
    if header is None or header.data_bytes != 0 or header.data_at >= len(content):
        return content
    return content[: header.data_at - 4] + struct.pack("<I", len(content) - header.data_at) + content[header.data_at :]
