"""FFmpeg's side of a file: a demuxer that is forced to the file's form, and its packets.

Only for processes behind a wall (`shared.audio.walls`): FFmpeg is native code, and a file may break it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import av
import av.container
from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Stream

from shared.audio.containers import FORMS, Container
from shared.audio.content import Content, Window
from shared.audio.findings import Heard
from shared.audio.links import Link
from shared.audio.repairs import repairs
from shared.audio.request import MAX_CHANNELS, MAX_RATE_HZ, MIN_RATE_HZ
from shared.audio.tracks import has_decoder
from shared.errors import MalformedAudio, UnsupportedAudio

#: How often FFmpeg may fail to read on before the rest is given up.
MOST_READ_ERRORS = 100
#: A second of PCM may be one packet, and eight seconds of slow FLAC.
LONGEST_PACKET_SECONDS = 30.0
#: Decoders that check what they decode only if asked to.
CHECKED_CODECS = frozenset({"flac"})

_PCM_NAME = re.compile(r"pcm_(?:[suf](\d+)(?:le|be)?|mulaw|alaw)(?:_planar)?")

av.logging.set_level(None)


@contextmanager
def opened(content: Content, link: Link, container: Container) -> Iterator[av.container.InputContainer]:
    """A programme in FFmpeg's demuxer for its container. Nested resources are never opened. Raises `MalformedAudio`."""
    window = Window(content, link.start, link.end, repairs(content, link, container))
    try:
        source = av.open(
            window,
            "r",
            format=FORMS[container].demuxer,
            options={"protocol_whitelist": "none"},
            metadata_errors="replace",
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
    """Raises `UnsupportedAudio` for what nobody can transcribe."""
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise UnsupportedAudio(f"A sample rate of {rate_hz} Hz cannot be transcribed; resample to 16000 Hz.")
    if not 0 < channels <= MAX_CHANNELS:
        raise UnsupportedAudio(f"{channels} channels cannot be transcribed; at most {MAX_CHANNELS} are taken. Mix it down.")


def read(source: av.container.InputContainer, streams: Sequence[Stream], heard: Heard) -> Iterator[Packet[Any]]:
    """Packets until the end; what cannot be read is passed over, a bounded number of times."""
    errors = 0
    while errors < MOST_READ_ERRORS:
        try:
            yield from source.demux(*streams)
        except MemoryError:
            raise
        except (av.EOFError, IndexError):
            # The latter is what PyAV makes of the end of a file in which a stream has turned up late.
            break
        except (av.FFmpegError, ValueError, OverflowError):
            errors += 1
        else:
            break
    heard.faults += errors


def with_next(packets: Iterator[Packet[Any]]) -> Iterator[tuple[Packet[Any], Packet[Any] | None]]:
    """Each packet, and the one after it."""
    last: Packet[Any] | None = None
    for packet in packets:
        if last is not None:
            yield last, packet
        last = packet
    if last is not None:
        yield last, None


class Pace:
    """How long the packets of a stream last. What is the same for all of them is asked of FFmpeg once: files have a million."""

    def __init__(self, stream: AudioStream) -> None:
        known = stream.codec_context
        self.tick_seconds = float(stream.time_base or 0)
        self._byte_seconds = _pcm_byte_seconds(known.name, stream.rate or 0, stream.channels)
        self._usual_seconds = known.frame_size / stream.rate if known.frame_size and stream.rate else 0.0

    def seconds_of(self, packet: Packet[AudioStream]) -> float:
        """How long a packet says that it lasts; where that cannot be, how long those of its codec do."""
        if self._byte_seconds:
            # Of the last one FFmpeg says that it is as long as the others.
            return packet.size * self._byte_seconds
        # Where more is to be thrown away than there is, FFmpeg's number is negative, and PyAV shows it without its sign.
        seconds = (packet.duration or 0) * self.tick_seconds
        return seconds if 0 < seconds <= LONGEST_PACKET_SECONDS else self._usual_seconds


def _pcm_byte_seconds(codec: str, rate_hz: int, channels: int) -> float:
    """How long a byte of PCM lasts, by the codec's name (`pcm_s16le`, `pcm_mulaw`); 0 for other codecs.

    Not by the rate of bits that a header tells: some recorders get it wrong.
    """
    named = _PCM_NAME.fullmatch(codec)
    if not named or not rate_hz or not channels:
        return 0.0
    return 8 / (int(named[1] or 8) * rate_hz * channels)


def trimmed_seconds(packet: Packet[AudioStream], rate_hz: int | None) -> tuple[float, float]:
    """What a decoder is to throw away of a packet, at its beginning and at its end."""
    if not rate_hz or not packet.has_sidedata("skip_samples"):
        return 0.0, 0.0
    skipped, discarded = struct.unpack_from("<II", bytes(packet.get_sidedata("skip_samples")))
    return skipped / rate_hz, discarded / rate_hz
