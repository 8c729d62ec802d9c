"""The length that a file's headers state. How much of it is there is another matter.

FFmpeg reports a length for every file, and guesses it where a header is silent or does not fit the file's size. A guess is no
promise. So FFmpeg's number is used only for formats where it always comes from the header.
"""

import struct
from collections.abc import Callable, Mapping

import av
import av.container
from av.audio.stream import AudioStream

from shared.audio.containers import Container
from shared.audio.content import Content
from shared.audio.frames import mpeg_audio_bytes
from shared.audio.recognition import id3_bytes
from shared.audio.wav import promised_wav_seconds

#: Formats for which FFmpeg takes a track's length from the header.
_BY_TRACK = frozenset(
    {Container.MP4, Container.FLAC, Container.AIFF, Container.CAF, Container.AU, Container.TTA, Container.WAVPACK}
)
#: How much of the beginning of a file is searched for headers.
_HEAD_BYTES = 1 << 20
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_W64_DATA = bytes.fromhex("64617461f3acd3118cd100c04f8edb8a")


def promised_seconds(
    content: Content, start: int, container: Container, source: av.container.InputContainer, stream: AudioStream
) -> float | None:
    """The length that the headers of the programme at `start` state for its sound, in seconds; None where they state none."""
    head = content[start : start + _HEAD_BYTES]
    by_header = _BY_HEADER.get(container)
    seconds = by_header(head, source, stream) if by_header else None
    if seconds is None and container in _BY_TRACK and stream.duration and stream.time_base:
        # A fragment's clock continues from the fragments before it.
        begins = (stream.start_time or 0) if container is Container.MP4 and b"moof" in head else 0
        seconds = float((stream.duration - begins) * stream.time_base)
    return seconds


def _asf(head: bytes, source: av.container.InputContainer, _: AudioStream) -> float | None:
    at = head.find(_ASF_FILE_PROPERTIES)
    if at < 0 or len(head) < at + 92:
        return None
    play, _, preroll_ms, flags = struct.unpack_from("<QQQI", head, at + 64)
    is_broadcast = flags & 1
    return None if is_broadcast else max(0.0, play / 1e7 - preroll_ms / 1e3 - (source.start_time or 0) / av.time_base)


def _avi(head: bytes, source: av.container.InputContainer, stream: AudioStream) -> float | None:
    at = 0
    for _ in range(1 + list(source.streams.audio).index(stream)):
        at = head.find(b"auds", at + 1)
        while at >= 8 and head[at - 8 : at - 4] != b"strh":
            at = head.find(b"auds", at + 1)
    if at < 8 or len(head) < at + 36:
        return None
    scale, rate, _, length = struct.unpack_from("<IIII", head, at + 20)
    return length * scale / rate if rate else None


def _w64(head: bytes, _: av.container.InputContainer, stream: AudioStream) -> float | None:
    at = head.find(_W64_DATA)
    if at < 0 or len(head) < at + 24:
        return None
    return _by_bit_rate(int.from_bytes(head[at + 16 : at + 24], "little") - 24, stream)


def _caf(head: bytes, _: av.container.InputContainer, stream: AudioStream) -> float | None:
    """The length of PCM. Other codecs have a table of packets, which FFmpeg reads."""
    at = 8
    while at + 12 <= len(head) and stream.codec_context.name.startswith("pcm_"):
        kind, size = head[at : at + 4], int.from_bytes(head[at + 4 : at + 12], "big", signed=True)
        if kind == b"data":
            return _by_bit_rate(size - 4, stream) if size > 4 else None
        if size < 0:
            break
        at += 12 + size
    return None


def _by_bit_rate(size_bytes: int, stream: AudioStream) -> float | None:
    rate = stream.codec_context.bit_rate
    is_known = 0 < size_bytes < 1 << 62
    return size_bytes * 8 / rate if rate and is_known else None


def _wav(head: bytes, _: av.container.InputContainer, __: AudioStream) -> float | None:
    return promised_wav_seconds(head, 0)


def _mp3(head: bytes, _: av.container.InputContainer, __: AudioStream) -> float | None:
    """The length that an mp3 encoder wrote into the first frame (the Xing or Info tag)."""
    frame = head[id3_bytes(head) :][: 1 << 12]
    at = max(frame.find(mark, 0, 64) for mark in (b"Xing", b"Info"))
    if at < 0 or len(frame) < at + 12 or not mpeg_audio_bytes(frame, 0) or not frame[at + 7] & 1:
        return None
    is_first, low = frame[1] >> 3 & 3 == 3, frame[1] >> 3 & 3
    rate_hz = (44_100, 48_000, 32_000)[frame[2] >> 2 & 3] >> {3: 0, 2: 1, 0: 2}[low]
    return int.from_bytes(frame[at + 8 : at + 12], "big") * (1152 if is_first else 576) / rate_hz


_BY_HEADER: Mapping[Container, Callable[[bytes, av.container.InputContainer, AudioStream], float | None]] = {
    Container.ASF: _asf,
    Container.AVI: _avi,
    Container.W64: _w64,
    Container.CAF: _caf,
    Container.WAV: _wav,
    Container.MP3: _mp3,
}
