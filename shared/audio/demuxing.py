"""FFmpeg's packets, each with its place in the file. Length and sound both come from this one reading.

Only for processes behind a wall (`shared.audio.walls`): FFmpeg is native code, and a file may break it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, cast

import av
import av.container
from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Disposition, Stream

from shared.audio.containers import FORMS, Container, Form
from shared.audio.content import Content, Window, forget
from shared.audio.findings import Heard
from shared.audio.links import Link, links
from shared.audio.mp4_tables import check_tables
from shared.audio.promises import OF_THE_FILE, promised_seconds
from shared.audio.recognition import id3_bytes, recognise
from shared.audio.repairs import repairs
from shared.audio.request import MAX_CHANNELS, MAX_RATE_HZ, MIN_RATE_HZ
from shared.audio.tracks import choose, described
from shared.audio.wav import WavShape, wav_shape
from shared.errors import AudioTooLong, MalformedAudio, UnsupportedAudio

#: Times within this are equal: what comes a little early or late goes on where the sound before it ended (FFmpeg's own limit,
#: and a little more, since times are sums).
TOLERANCE_SECONDS = 0.1001
#: A jump of a broadcast's clock by more is no gap but another clock (FFmpeg's own limit).
LONGEST_GAP_SECONDS = 10.0
#: The shortest packets (2.5 ms of Opus) come 400 to a second. More than these are an attempt to keep us busy.
MOST_PACKETS_PER_SECOND, SPARE_PACKETS = 2_000, 5_000
#: A second of PCM may be one packet, and eight seconds of slow FLAC.
LONGEST_PACKET_SECONDS = 30.0
#: What stands before the first frame is the rest of a frame, or a tag. More of it may be sound that cannot be read.
MOST_JUNK_BYTES = 2_000
#: How often FFmpeg may fail to read on before the rest is given up.
MOST_READ_ERRORS = 100

av.logging.set_level(None)


@dataclass(frozen=True, slots=True)
class Placed:
    """A packet of the chosen track: where it stands in the file, and how long it lasts. `at` may be negative: it is not heard."""

    packet: Packet[AudioStream]
    at: float
    seconds: float


class Reading:
    """One file, read from its first packet to its last. `heard` is complete once `packets` is exhausted."""

    def __init__(self, content: Content, track: int | None, max_seconds: float) -> None:
        """`track`: which audio track, counted from 1; None: the default one, or the first that holds anything.

        Raises `EmptyAudio`, `NotAudio`, `MalformedAudio`.
        """
        self.content, self._track, self._max_seconds = content, track, max_seconds
        found = recognise(content)
        self.container, self.form = found.container, FORMS[found.container]
        self._links = links(content, found.container, found.at)
        forget(content)
        junk = content[found.at - found.junk_bytes : found.at]
        self._is_begun_late = len(junk) > MOST_JUNK_BYTES and len(set(junk)) > 1
        self.heard = Heard(is_exact=self.form.exact)
        self._count = 0

    def packets(self) -> Iterator[Placed]:
        """The chosen track's packets in order, over all programmes of the file.

        Raises `MalformedAudio` when there are none, `UnsupportedAudio`, and `AudioTooLong` as soon as it is.
        """
        failure: MalformedAudio | UnsupportedAudio | None = None
        self.heard.faults += self._is_begun_late
        for link in self._links:
            with ExitStack() as stack:
                try:
                    programme = self._open(link, stack)
                except (MalformedAudio, UnsupportedAudio) as error:
                    # One broken programme of several is told, and the others are heard.
                    failure = failure or error
                    self.heard.faults += 1
                else:
                    yield from programme.packets()
                    programme.conclude()
        if not self._count:
            raise failure or MalformedAudio("The audio track is empty or damaged; export it again and resubmit.")

    @property
    def is_of_floats(self) -> bool:
        """Its samples are numbers as they were computed, which may be none."""
        return any(track.codec is not None and track.codec.startswith("pcm_f") for track in self.heard.tracks)

    def frame_bytes(self) -> int:
        """How many bytes of frames there should be; 0 for a container, which holds other things, too."""
        if self.form.keeps_time or self.container not in _BARE_FRAMES:
            return 0
        size = len(self.content) - self._links[0].start - id3_bytes(self.content)
        # Pictures are in tags at the end, too.
        tag = self.content.rfind(b"APETAGEX")
        return size if tag < 0 else min(size, tag)

    def _open(self, link: Link, stack: ExitStack) -> _Programme:
        if self.container is Container.MP4:
            check_tables(self.content, link.start, link.end)
        elif self.container is Container.WAV and (shape := wav_shape(self.content, link.start)):
            self._check_wav(shape, link)
        source = stack.enter_context(opened(self.content, link, self.form, self.container))
        chosen = self._choose(source, link)
        pictures = [s for s in source.streams.video if not s.disposition & Disposition.attached_pic]
        return _Programme(self, link, source, chosen, pictures)

    def _check_wav(self, shape: WavShape, link: Link) -> None:
        """FFmpeg refuses some rates without a word."""
        if shape.bytes_per_second:
            self._check_length((min(shape.data_bytes or link.end, link.end - shape.data_at)) / shape.bytes_per_second)
        check_shape(shape.rate_hz, shape.channels)

    def _check_length(self, seconds: float) -> None:
        # To the millisecond: times are sums of many.
        if seconds > self._max_seconds + 0.001:
            raise AudioTooLong(
                f"The audio is longer than {self._max_seconds:g} s, which is the most that is taken. Split it first."
            )

    def _choose(self, source: av.container.InputContainer, link: Link) -> AudioStream:
        streams = list(source.streams.audio)
        chosen = choose(streams, self._track, lambda: self._not_empty(link))
        # Some headers leave it to the frames.
        if chosen.rate and chosen.channels:
            check_shape(chosen.rate, chosen.channels)
        heard = self.heard
        if not heard.tracks:
            heard.tracks, heard.track = described(streams), streams.index(chosen) + 1
            heard.sample_rate_hz, heard.channels = chosen.rate or 0, chosen.channels
        return chosen

    def _not_empty(self, link: Link) -> frozenset[int]:
        """Indexes of the streams that hold packets. Looked for only where there is a choice."""
        seen: set[int] = set()
        with opened(self.content, link, self.form, self.container) as source:
            streams = list(source.streams.audio)
            for packet in _read(source, streams, Heard()):
                if packet.size:
                    seen.add(packet.stream_index)
                if len(seen) == len(streams):
                    break
        return frozenset(seen)

    def count(self, seconds: float) -> None:
        """Another packet, `seconds` into the file. Raises `MalformedAudio` and `AudioTooLong`."""
        self._count += 1
        if self._count > SPARE_PACKETS + MOST_PACKETS_PER_SECOND * max(0.0, seconds):
            raise MalformedAudio("The file is made of far more packets than its length can need; export it again.")
        self._check_length(seconds)


class _Programme:
    """The packets of one link. Its clock is brought to begin where the link before it ended."""

    def __init__(
        self, reading: Reading, link: Link, source: av.container.InputContainer, chosen: AudioStream, pictures: Sequence[Stream]
    ) -> None:
        self._reading, self._source, self._chosen, self._pictures = reading, source, chosen, pictures
        self._link, self._form = link, reading.form
        self._base = reading.heard.seconds
        # PyAV's types leave out that it may be unknown.
        started = cast("int | None", source.start_time)
        self._origin = None if started is None else started / av.time_base
        #: Since the beginning of the link: where sound and picture have ended, and by how much the clock is put off.
        self._end = self._picture_end = self._put_off = 0.0
        self._began: float | None = None

    def packets(self) -> Iterator[Placed]:
        for packet, following in _with_next(self._sound()):
            # The empty one at the end has the decoder give what it still holds.
            yield self._place(packet, following) if packet.size else Placed(packet, self._base + self._end, 0.0)

    def _sound(self) -> Iterator[Packet[AudioStream]]:
        chosen, pictures = self._chosen, self._pictures if self._form.keeps_time else []
        for packet in _read(self._source, [chosen, *pictures], self._reading.heard):
            if packet.stream_index == chosen.index:
                yield packet
            else:
                self._see(packet)

    def conclude(self) -> None:
        """Add up what this programme has come to."""
        heard, began = self._reading.heard, self._began or 0.0
        # One that holds nothing has lost it.
        heard.faults += self._link.lost_pages + (self._began is None)
        heard.seconds = self._base + max(self._end, self._picture_end)
        reading = self._reading
        promised = promised_seconds(reading.content, self._link.start, reading.container, self._source, self._chosen)
        heard.found += max(self._end, self._picture_end) if reading.container in OF_THE_FILE else self._end - began
        heard.promised = None if promised is None or heard.promised is None else heard.promised + promised

    def _place(self, packet: Packet[AudioStream], following: Packet[AudioStream] | None) -> Placed:
        base, seconds = packet.time_base, self._seconds_of(packet)
        at = self._end
        if self._form.keeps_time and packet.pts is not None and base:
            at = self._by_the_clock(float(packet.pts * base), self._is_lone(packet, following))
        skipped, discarded = _trimmed_seconds(packet, self._chosen.rate)
        heard_seconds = max(0.0, seconds - discarded - (0.0 if self._form.keeps_time else skipped))
        self._began = at if self._began is None else self._began
        self._end = max(self._end, at + heard_seconds)
        self._reading.count(self._base + self._end)
        return Placed(packet, self._base + at, seconds)

    def _seconds_of(self, packet: Packet[AudioStream]) -> float:
        """How long a packet says that it lasts; where that cannot be, how long those of its codec do."""
        known = self._chosen.codec_context
        if known.name.startswith("pcm_") and known.bit_rate:
            # Of the last one FFmpeg says that it is as long as the others.
            return packet.size * 8 / known.bit_rate
        # Where more is to be thrown away than there is, FFmpeg's number is negative, and PyAV shows it without its sign.
        seconds = float((packet.duration or 0) * packet.time_base) if packet.time_base else 0.0
        if 0 < seconds <= LONGEST_PACKET_SECONDS:
            return seconds
        frame_size, rate_hz = known.frame_size, self._chosen.rate
        return frame_size / rate_hz if frame_size and rate_hz else 0.0

    def _is_lone(self, packet: Packet[AudioStream], following: Packet[AudioStream] | None) -> bool:
        """Whether the packet's time is later than that of the next one, or there is none: if it is far off, it is wrong."""
        if following is None or following.pts is None or packet.pts is None:
            return True
        return following.pts < packet.pts

    def _by_the_clock(self, pts_seconds: float, is_lone: bool) -> float:
        """Where this time is, since the link's beginning. A clock that jumps back, or too far ahead, has begun anew."""
        if self._origin is None:
            self._origin = pts_seconds
        at = pts_seconds - self._origin + self._put_off
        jump = at - self._end
        if is_lone and jump > LONGEST_GAP_SECONDS and self._began is not None:
            self._reading.heard.faults += 1
            return self._end
        is_restart = self._began is not None and (
            jump < -TOLERANCE_SECONDS or (self._form.restarts and jump > LONGEST_GAP_SECONDS)
        )
        if is_restart:
            self._put_off -= jump
            at = self._end
        return at

    def _see(self, packet: Packet[Stream]) -> None:
        """A picture: the file lasts as long as it is seen. Not where its clock differs from that of the sound."""
        if packet.pts is None or not packet.time_base or self._origin is None:
            return
        end = float((packet.pts + (packet.duration or 0)) * packet.time_base) - self._origin + self._put_off
        if end - self._picture_end < LONGEST_GAP_SECONDS or not self._form.restarts:
            self._picture_end = max(self._picture_end, end)
            self._reading.count(self._base + self._picture_end)


#: Files that are nothing but frames, but for tags.
_BARE_FRAMES = frozenset(
    {Container.MP3, Container.AAC, Container.LATM, Container.AC3, Container.EAC3, Container.DTS, Container.AMR, Container.GSM}
)


@contextmanager
def opened(content: Content, link: Link, form: Form, container: Container) -> Iterator[av.container.InputContainer]:
    """A programme in FFmpeg's demuxer for its form. Nested resources are never opened. Raises `MalformedAudio`."""
    window = Window(content, link.start, link.end, repairs(content, link, container))
    try:
        source = av.open(
            window,
            "r",
            format=form.demuxer,
            options={"protocol_whitelist": "none", "max_streams": "100"},
            metadata_errors="replace",
        )
    except MemoryError:
        raise
    except (av.FFmpegError, ValueError, OSError, EOFError, OverflowError) as error:
        window.release()
        raise MalformedAudio(f"The {container.value} file is damaged or cut short; export it again and resubmit.") from error
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


def _read(source: av.container.InputContainer, streams: Sequence[Stream], heard: Heard) -> Iterator[Packet[Any]]:
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


def _with_next(packets: Iterator[Packet[Any]]) -> Iterator[tuple[Packet[Any], Packet[Any] | None]]:
    """Each packet, and the one after it."""
    last: Packet[Any] | None = None
    for packet in packets:
        if last is not None:
            yield last, packet
        last = packet
    if last is not None:
        yield last, None


def _trimmed_seconds(packet: Packet[AudioStream], rate_hz: int | None) -> tuple[float, float]:
    """What a decoder is to throw away of a packet, at its beginning and at its end."""
    if not rate_hz or not packet.has_sidedata("skip_samples"):
        return 0.0, 0.0
    skipped, discarded = struct.unpack_from("<II", bytes(packet.get_sidedata("skip_samples")))
    return skipped / rate_hz, discarded / rate_hz
