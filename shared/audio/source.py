"""FFmpeg's side of a file: a demuxer that is forced to the file's form, and its packets.

Only for processes behind a wall (`shared.audio.walls`): FFmpeg is native code, and a file may break it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import av
import av.container
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Stream
from numpy.typing import NDArray

from shared.audio.containers import FORMS, Container
from shared.audio.content import Content, Window
from shared.audio.findings import Heard
from shared.audio.frames import adts_seconds
from shared.audio.links import Link
from shared.audio.repairs import repairs
from shared.audio.request import MAX_CHANNELS, MAX_RATE_HZ, MIN_RATE_HZ
from shared.audio.tracks import has_decoder
from shared.errors import MalformedAudio, UnsupportedAudio

#: How often FFmpeg may fail to read on before the remaining packets are given up.
MOST_READ_ERRORS = 100
#: One packet may hold a second of PCM, or eight seconds of FLAC with a low sample rate.
LONGEST_PACKET_SECONDS = 30.0
#: Decoders that verify checksums only if asked to.
CHECKED_CODECS = frozenset({"flac"})

_PCM_NAME = re.compile(r"pcm_(?:[suf](\d+)(?:le|be)?|mulaw|alaw)(?:_planar)?")

#: Texts in a file may be in any encoding. From version 19 on, PyAV itself replaces what it cannot decode.
_TEXTS: Mapping[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
_SAMPLES: Mapping[str, Any] = {
    "u8": np.uint8,
    "s16": np.int16,
    "s32": np.int32,
    "s64": np.int64,
    "flt": np.float32,
    "dbl": np.float64,
}

av.logging.set_level(None)


@contextmanager
def opened(content: Content, link: Link, container: Container) -> Iterator[av.container.InputContainer]:
    """Open a programme in FFmpeg's demuxer for its container. Nested resources are never opened. Raises `MalformedAudio`."""
    window = Window(content, link.start, link.end, repairs(content, link, container))
    try:
        source = av.open(
            window,
            "r",
            format=FORMS[container].demuxer,
            options={"protocol_whitelist": "none"},
            **_TEXTS,
        )
    except MemoryError:
        raise
    except (av.FFmpegError, ValueError, OSError, EOFError, OverflowError) as error:
        window.release()
        raise MalformedAudio(f"The {container.value} file is damaged or cut short; export it again and resubmit.") from error
    for stream in source.streams.audio:
        # A frame whose checksum is wrong would be decoded to noise.
        if has_decoder(stream) and stream.codec_context.name in CHECKED_CODECS:
            stream.codec_context.options = {"err_detect": "crccheck+explode"}
    try:
        yield source
    finally:
        source.close()
        window.release()


def check_shape(rate_hz: int, channels: int) -> None:
    """Raises `UnsupportedAudio` for a rate or number of channels that cannot be transcribed."""
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise UnsupportedAudio(f"A sample rate of {rate_hz} Hz cannot be transcribed; resample to 16000 Hz.")
    if not 0 < channels <= MAX_CHANNELS:
        raise UnsupportedAudio(f"{channels} channels cannot be transcribed; at most {MAX_CHANNELS} are taken. Mix it down.")


def read(source: av.container.InputContainer, streams: Sequence[Stream], heard: Heard) -> Iterator[Packet[Any]]:
    """Packets until the end. Unreadable parts are skipped and counted as faults, up to `MOST_READ_ERRORS` times."""
    errors = 0
    while errors < MOST_READ_ERRORS:
        try:
            yield from source.demux(*streams)
        except MemoryError:
            raise
        except (av.EOFError, IndexError):
            # PyAV raises IndexError at the end of a file in which a stream has turned up late.
            break
        except (av.FFmpegError, ValueError, OverflowError):
            errors += 1
        else:
            break
    heard.faults += errors


def with_next(packets: Iterator[Packet[Any]]) -> Iterator[tuple[Packet[Any], Packet[Any] | None]]:
    """Each packet, together with the one after it."""
    last: Packet[Any] | None = None
    for packet in packets:
        if last is not None:
            yield last, packet
        last = packet
    if last is not None:
        yield last, None


def samples_of(frame: AudioFrame) -> NDArray[Any]:
    """A frame's samples in their own type, shape (frames, channels).

    PyAV's own `to_ndarray` does not support 64-bit integers, and reads beyond the last of exactly eight planes.
    """
    kind, channels = frame.format.name.removesuffix("p"), frame.layout.nb_channels
    dtype = _SAMPLES[kind]
    # A plane supports the buffer protocol, although PyAV's types do not say so.
    planes: Sequence[Any] = frame.planes[:channels]
    if frame.format.is_planar:
        return np.stack([np.frombuffer(plane, dtype, frame.samples) for plane in planes], axis=1)
    return np.frombuffer(planes[0], dtype, frame.samples * channels).reshape(-1, channels)


class Pace:
    """How long the packets of a stream last. Values that hold for all packets are read once: a file may have a million."""

    def __init__(self, stream: AudioStream, container: Container, source: av.container.InputContainer) -> None:
        self._is_adts, self._last_seconds = container is Container.AAC, 0.0
        # The end of the last packet, for WebM, where packets may have no length of their own.
        self._ends_at_seconds = (source.duration or 0) / av.time_base if container is Container.WEBM else 0.0
        known = stream.codec_context
        self.tick_seconds = float(stream.time_base or 0)
        self._byte_seconds = _pcm_byte_seconds(known.name, stream.rate or 0, stream.channels)
        self._usual_seconds = known.frame_size / stream.rate if known.frame_size and stream.rate else 0.0

    def seconds_of(self, packet: Packet[AudioStream], following: Packet[AudioStream] | None) -> float:
        """The packet's stated length; if that is impossible, the codec's usual length, or the time until the next packet."""
        if self._is_adts and (seconds := adts_seconds(bytes(packet))):
            # FFmpeg's parser keeps the first frame's rate, even if it changes.
            return seconds
        if self._byte_seconds:
            # FFmpeg gives the last packet the length of the others.
            return packet.size * self._byte_seconds
        # Where more is to be trimmed than there is, FFmpeg's number is negative, and PyAV shows it unsigned.
        seconds = (packet.duration or 0) * self.tick_seconds
        if not 0 < seconds <= LONGEST_PACKET_SECONDS:
            seconds = self._usual_seconds or self._until(packet, following)
        return seconds

    def _until(self, packet: Packet[AudioStream], following: Packet[AudioStream] | None) -> float:
        next_pts = following.pts if following is not None else None
        if packet.pts is None:
            return self._last_seconds
        if next_pts is None:
            left_seconds = self._ends_at_seconds - packet.pts * self.tick_seconds
            return min(self._last_seconds, max(0.0, left_seconds)) if self._ends_at_seconds else 0.0
        seconds = (next_pts - packet.pts) * self.tick_seconds
        self._last_seconds = seconds if 0 < seconds <= LONGEST_PACKET_SECONDS else 0.0
        return self._last_seconds


def _pcm_byte_seconds(codec: str, rate_hz: int, channels: int) -> float:
    """How long a byte of PCM lasts, by the codec's name (`pcm_s16le`, `pcm_mulaw`); 0 for other codecs.

    The header's bit rate is not used: some recorders write a wrong one.
    """
    named = _PCM_NAME.fullmatch(codec)
    if not named or not rate_hz or not channels:
        return 0.0
    return 8 / (int(named[1] or 8) * rate_hz * channels)


def trimmed_seconds(packet: Packet[AudioStream], rate_hz: int | None) -> tuple[float, float]:
    """Seconds that a decoder is to trim from a packet, at its beginning and at its end."""
    if not rate_hz or not packet.has_sidedata("skip_samples"):
        return 0.0, 0.0
    skipped, discarded = struct.unpack_from("<II", bytes(packet.get_sidedata("skip_samples")))
    return skipped / rate_hz, discarded / rate_hz
