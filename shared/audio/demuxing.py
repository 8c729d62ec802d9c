"""FFmpeg's packets, each with its place in the file. Length and sound both come from this one reading.

Only for processes behind a wall (`shared.audio.walls`): FFmpeg is native code, and a file may break it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import av
import av.container
from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Disposition, Stream

from shared.audio.containers import FORMS, Container, Form
from shared.audio.content import Content, Window
from shared.audio.findings import Heard
from shared.audio.frames import mpeg_audio_bytes
from shared.audio.links import Link, links
from shared.audio.mp4_tables import check_tables
from shared.audio.recognition import id3_bytes, recognise
from shared.audio.report import Track
from shared.audio.request import MAX_CHANNELS, MAX_RATE_HZ, MIN_RATE_HZ
from shared.audio.wav import promised_wav_seconds
from shared.errors import AudioTooLong, MalformedAudio, UnsupportedAudio

#: More tracks than this are not looked at.
MOST_TRACKS = 32
#: Times within this are equal: what comes a little early or late goes on where the sound before it ended.
TOLERANCE_SECONDS = 0.1
#: A jump of a broadcast's clock by more is no gap but another clock (FFmpeg's own limit).
LONGEST_GAP_SECONDS = 10.0
#: The shortest packets (2.5 ms of Opus) come 400 to a second. More than these are an attempt to keep us busy.
MOST_PACKETS_PER_SECOND, SPARE_PACKETS = 2_000, 5_000
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
        self.heard = Heard(is_exact=self.form.exact)
        self._count = 0

    def packets(self) -> Iterator[Placed]:
        """The chosen track's packets in order, over all programmes of the file.

        Raises `MalformedAudio` when there are none, `UnsupportedAudio`, and `AudioTooLong` as soon as it is.
        """
        failure: MalformedAudio | None = None
        for link in self._links:
            with ExitStack() as stack:
                try:
                    programme = self._open(link, stack)
                except MalformedAudio as error:
                    # One broken programme of several is told, and the others are heard.
                    failure = failure or error
                    self.heard.faults += 1
                else:
                    yield from programme.packets()
                    programme.conclude()
        if not self._count:
            raise failure or MalformedAudio("The audio track is empty or damaged; export it again and resubmit.")

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
        source = stack.enter_context(opened(self.content, link, self.form, self.container))
        chosen = self._choose(source, [s for s in source.streams.audio if s.codec_context is not None])
        pictures = [s for s in source.streams.video if not s.disposition & Disposition.attached_pic]
        return _Programme(self, link, source, chosen, pictures)

    def _choose(self, source: av.container.InputContainer, streams: Sequence[AudioStream]) -> AudioStream:
        if not streams:
            known = source.streams.audio
            if known:
                raise UnsupportedAudio("The audio's codec is unknown; convert it to wav, flac or ogg.")
            raise MalformedAudio("The file has no audio track.")
        audible = list(source.streams.audio)
        if self._track is not None and self._track > len(audible):
            raise UnsupportedAudio(f"There is no audio track {self._track}; the file has {len(audible)}, counted from 1.")
        chosen = audible[self._track - 1] if self._track else _default(streams, self._not_empty(source, streams))
        if chosen.codec_context is None:
            raise UnsupportedAudio(f"The codec of audio track {self._track} is unknown; choose another one, or convert it.")
        check_shape(chosen.rate or 0, chosen.channels)
        heard = self.heard
        if not heard.tracks:
            heard.tracks = [_track(number, stream) for number, stream in enumerate(audible[:MOST_TRACKS], start=1)]
            heard.track, heard.sample_rate_hz, heard.channels = audible.index(chosen) + 1, chosen.rate or 0, chosen.channels
        return chosen

    def _not_empty(self, source: av.container.InputContainer, streams: Sequence[AudioStream]) -> frozenset[int]:
        """Indexes of the streams that hold packets; looked for only where there is a choice."""
        if len(streams) == 1:
            return frozenset({streams[0].index})
        seen: set[int] = set()
        for packet in _read(source, streams, self.heard):
            if packet.size:
                seen.add(packet.stream_index)
            if len(seen) == len(streams):
                break
        source.seek(0)
        return frozenset(seen)

    def count(self, seconds: float) -> None:
        """Another packet, `seconds` into the file. Raises `MalformedAudio` and `AudioTooLong`."""
        self._count += 1
        if self._count > SPARE_PACKETS + MOST_PACKETS_PER_SECOND * max(0.0, seconds):
            raise MalformedAudio("The file is made of far more packets than its length can need; export it again.")
        if seconds > self._max_seconds:
            raise AudioTooLong(
                f"The audio is longer than {self._max_seconds:g} s, which is the most that is taken. Split it first."
            )


class _Programme:
    """The packets of one link. Its clock is brought to begin where the link before it ended."""

    def __init__(
        self, reading: Reading, link: Link, source: av.container.InputContainer, chosen: AudioStream, pictures: Sequence[Stream]
    ) -> None:
        self._reading, self._source, self._chosen, self._pictures = reading, source, chosen, pictures
        self._link, self._form = link, reading.form
        self._base = reading.heard.seconds
        self._origin = source.start_time / av.time_base if source.start_time is not None else None
        #: Since the beginning of the link: where the sound is at, where it and the picture ended, and what the clock is put off by.
        self._end = self._picture_end = self._put_off = 0.0
        self._began: float | None = None
        self._last_pts_seconds = 0.0

    def packets(self) -> Iterator[Placed]:
        chosen, pictures = self._chosen, self._pictures if self._form.keeps_time else []
        for packet in _read(self._source, [chosen, *pictures], self._reading.heard):
            if packet.stream_index != chosen.index:
                self._see(packet)
            else:
                # The empty one at the end has the decoder give what it still holds.
                yield self._place(packet) if packet.size else Placed(packet, self._base + self._end, 0.0)

    def conclude(self) -> None:
        """Add up what this programme has come to."""
        heard, began = self._reading.heard, self._began or 0.0
        heard.faults += self._link.lost_pages
        heard.seconds = self._base + max(self._end, self._picture_end)
        promised = self._promised_seconds()
        is_of_file = not self._chosen.duration and bool(self._pictures)
        heard.found += max(self._end, self._picture_end) if is_of_file else self._end - began
        heard.promised = None if promised is None or heard.promised is None else heard.promised + promised

    def _place(self, packet: Packet[AudioStream]) -> Placed:
        base = packet.time_base
        seconds = float((packet.duration or 0) * base) if base else 0.0
        if not seconds and self._chosen.codec_context.frame_size and self._chosen.rate:
            seconds = self._chosen.codec_context.frame_size / self._chosen.rate
        at = self._end
        if self._form.keeps_time and packet.pts is not None and base:
            at = self._by_the_clock(float(packet.pts * base))
        skipped, discarded = _trimmed_seconds(packet, self._chosen.rate)
        heard_seconds = max(0.0, seconds - discarded - (0.0 if self._form.keeps_time else skipped))
        self._began = at if self._began is None else self._began
        self._end = max(self._end, at + heard_seconds)
        self._reading.count(self._base + self._end)
        return Placed(packet, self._base + at, seconds)

    def _by_the_clock(self, pts_seconds: float) -> float:
        """Where this time is, since the link's beginning. A clock that jumps back, or too far ahead, has begun anew."""
        if self._origin is None:
            self._origin = pts_seconds
        self._last_pts_seconds = pts_seconds
        at = pts_seconds - self._origin + self._put_off
        jump = at - self._end
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

    def _promised_seconds(self) -> float | None:
        reading, stream, content = self._reading, self._chosen, self._reading.content
        if reading.container is Container.WAV:
            return promised_wav_seconds(content, self._link.start)
        if reading.container in _PROMISES_BY_TRACK and stream.duration and stream.time_base:
            return float(stream.duration * stream.time_base)
        if reading.container is Container.MP3:
            return _xing_seconds(content, self._link.start)
        if reading.container in _PROMISES_AS_FILE and self._source.duration:
            return self._source.duration / av.time_base - (0.0 if self._pictures else self._began or 0.0)
        return None


#: Where FFmpeg has a track's length from the header; and where it has the length of all tracks from there.
_PROMISES_BY_TRACK = frozenset(
    {Container.MP4, Container.FLAC, Container.AIFF, Container.W64, Container.CAF, Container.AU, Container.TTA, Container.WAVPACK}
)
_PROMISES_AS_FILE = frozenset({Container.ASF, Container.AVI})
#: Files that are nothing but frames, but for tags.
_BARE_FRAMES = frozenset(
    {Container.MP3, Container.AAC, Container.LATM, Container.AC3, Container.EAC3, Container.DTS, Container.AMR, Container.GSM}
)


@contextmanager
def opened(content: Content, link: Link, form: Form, container: Container) -> Iterator[av.container.InputContainer]:
    """A programme in FFmpeg's demuxer for its form. Nested resources are never opened. Raises `MalformedAudio`."""
    window = Window(content, link.start, link.end)
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


def _read(source: av.container.InputContainer, streams: Sequence[Stream], heard: Heard) -> Iterator[Packet[Stream]]:
    """Packets until the end; what cannot be read is passed over, a bounded number of times."""
    errors = 0
    while errors < MOST_READ_ERRORS:
        try:
            yield from source.demux(*streams)
        except MemoryError:
            raise
        except av.EOFError:
            break
        except (av.FFmpegError, ValueError, OverflowError):
            errors += 1
        else:
            break
    heard.faults += errors


def _trimmed_seconds(packet: Packet[AudioStream], rate_hz: int | None) -> tuple[float, float]:
    """What a decoder is to throw away of a packet, at its beginning and at its end."""
    if not rate_hz or not packet.has_sidedata("skip_samples"):
        return 0.0, 0.0
    skipped, discarded = struct.unpack_from("<II", bytes(packet.get_sidedata("skip_samples")))
    return skipped / rate_hz, discarded / rate_hz


def _default(streams: Sequence[AudioStream], not_empty: frozenset[int]) -> AudioStream:
    """The default one; one that holds nothing only if all do."""
    candidates = [s for s in streams if s.index in not_empty] or list(streams)
    return next((s for s in candidates if s.disposition & Disposition.default), candidates[0])


def _track(number: int, stream: AudioStream) -> Track:
    known = stream.codec_context
    return Track(
        track=number,
        codec=known.name if known else None,
        channels=stream.channels if known else 0,
        sample_rate_hz=(stream.rate or 0) if known else 0,
        language=stream.language,
        title=stream.metadata.get("title", "")[:200] or None,
        default=bool(stream.disposition & Disposition.default),
    )


def _xing_seconds(content: Content, start: int) -> float | None:
    """The length that an encoder of mp3 wrote into the first frame (the Xing or Info tag)."""
    head = content[start + id3_bytes(content) :][: 1 << 12] if start == 0 else content[start : start + (1 << 12)]
    at = max(head.find(mark, 0, 64) for mark in (b"Xing", b"Info"))
    if at < 0 or not mpeg_audio_bytes(head, 0) or not head[at + 7] & 1:
        return None
    is_first, low = head[1] >> 3 & 3 == 3, head[1] >> 3 & 3
    rate_hz = (44_100, 48_000, 32_000)[head[2] >> 2 & 3] >> {3: 0, 2: 1, 0: 2}[low]
    return int.from_bytes(head[at + 8 : at + 12], "big") * (1152 if is_first else 576) / rate_hz
