"""One programme of a file: its packets, each with its place in the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import av
import av.container
from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Disposition, Stream

from shared.audio.containers import FORMS, Container
from shared.audio.findings import Heard
from shared.audio.source import Pace, read, trimmed_seconds, with_next
from shared.errors import AudioTooLong, MalformedAudio

#: Times that differ by no more than this are equal: sound that comes a little early or late continues where the sound before it
#: ended (FFmpeg's own limit, and a little more, since times are sums).
TOLERANCE_SECONDS = 0.1001
#: A larger jump of a broadcast's clock is no gap but a new clock (FFmpeg's own limit).
LONGEST_GAP_SECONDS = 10.0
#: The shortest packets (2.5 ms of Opus) come 400 to a second. More than these limits are an attempt to keep a reader busy.
MOST_PACKETS_PER_SECOND, SPARE_PACKETS = 2_000, 5_000
#: Matroska may compress its packets, but audio packets hardly shrink.
MOST_INFLATION, SPARE_BYTES = 4, 32_000_000
#: How many packets at the beginning of a file may have samples to trim.
EDGE_PACKETS = 5
#: Encoders fill up their last frame: audio that exceeds the allowed length by no more than this is accepted.
PADDING_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Placed:
    """A packet of the chosen track, its place in the file and its length, in seconds. Sound with a negative `at` is not heard."""

    packet: Packet[AudioStream]
    at: float
    seconds: float


class Tally:
    """Running totals of a reading over all programmes of a file, with their limits."""

    def __init__(self, heard: Heard, max_seconds: float, file_bytes: int) -> None:
        self.heard, self.max_seconds = heard, max_seconds
        self._room_bytes = SPARE_BYTES + MOST_INFLATION * file_bytes

    def weigh(self, size_bytes: int) -> None:
        """Count the bytes of a packet. Raises `MalformedAudio` when the total is more than the file can hold."""
        self._room_bytes -= size_bytes
        if self._room_bytes < 0:
            raise MalformedAudio("The file unpacks to far more than it holds; export it again.")

    def count(self, seconds: float, size_bytes: int) -> None:
        """Count a packet that ends at `seconds` in the file. Raises `MalformedAudio` and `AudioTooLong`."""
        self.heard.packets += 1
        self.weigh(size_bytes)
        if self.heard.packets > SPARE_PACKETS + MOST_PACKETS_PER_SECOND * max(0.0, seconds):
            raise MalformedAudio("The file is made of far more packets than its length can need; export it again.")
        self.check(seconds)

    def check(self, seconds: float) -> None:
        """Raises `AudioTooLong` when the audio reaches to `seconds` and may not."""
        if seconds > self.max_seconds + PADDING_SECONDS:
            raise AudioTooLong(
                f"The audio is longer than {self.max_seconds:g} s, which is the most that is taken. Split it first."
            )


class Programme:
    """The packets of one link. Its clock is shifted to begin where the link before it ended."""

    def __init__(
        self, tally: Tally, container: Container, source: av.container.InputContainer, chosen: AudioStream, promised: float | None
    ) -> None:
        """`promised`: the length that the programme's headers state, in seconds."""
        self._tally, self._source, self._chosen, self._promised = tally, source, chosen, promised
        self._form = FORMS[container]
        self._pace = Pace(chosen, container, source)
        self._pictures = [s for s in source.streams.video if not s.disposition & Disposition.attached_pic]
        self._base = tally.heard.seconds
        # PyAV's types do not say that the start time may be unknown (None).
        started = cast("int | None", source.start_time)
        self._origin = None if started is None else started / av.time_base
        #: Seconds since the beginning of the link: where the sound and the picture have ended, and by how much the clock is
        #: shifted.
        self._end = self._picture_end = self._put_off = 0.0
        self._began: float | None = None
        self._seen = 0

    def packets(self) -> Iterator[Placed]:
        for packet, following in with_next(self._sound()):
            # An empty packet at the end makes the decoder return what it still holds. Packets marked to be discarded lead a
            # decoder up to the beginning of an edit and are not heard: their times run back.
            if packet.size and not packet.is_discard:
                yield self._place(packet, following)
            else:
                yield Placed(packet, self._base + self._end, 0.0)

    def _sound(self) -> Iterator[Packet[AudioStream]]:
        chosen, pictures = self._chosen, self._pictures if self._form.keeps_time else []
        for packet in read(self._source, [chosen, *pictures], self._tally.heard):
            if packet.stream_index == chosen.index:
                yield packet
            else:
                self._see(packet)

    def conclude(self) -> None:
        """Add this programme's totals to those of the file."""
        heard = self._tally.heard
        whole = max(self._end, self._picture_end)
        # A programme without any packet has lost its sound.
        heard.faults += self._began is None
        heard.seconds = self._base + whole
        heard.found += whole if self._form.promises_all else self._end - (self._began or 0.0)
        heard.promised = None if self._promised is None or heard.promised is None else heard.promised + self._promised

    def _place(self, packet: Packet[AudioStream], following: Packet[AudioStream] | None) -> Placed:
        pts, seconds = packet.pts, self._pace.seconds_of(packet, following)
        at = self._end
        if self._form.keeps_time and pts is not None:
            at = self._by_the_clock(pts * self._pace.tick_seconds, self._is_lone(pts, following))
        if self._began is None:
            self._began = at
        heard_seconds = seconds
        # Samples are trimmed only at the edges of a file, and asking for it costs as much as everything else here.
        if self._seen < EDGE_PACKETS or following is None or not following.size:
            skipped, discarded = trimmed_seconds(packet, self._chosen.rate)
            heard_seconds = max(0.0, seconds - discarded - (0.0 if self._form.keeps_time else skipped))
        self._seen += 1
        self._end = max(self._end, at + heard_seconds)
        self._tally.count(self._base + self._end, packet.size)
        return Placed(packet, self._base + at, seconds)

    def _is_lone(self, pts: int, following: Packet[AudioStream] | None) -> bool:
        """Whether no packet follows, or one with an earlier time. If such a packet's time is far off, it is wrong."""
        next_pts = following.pts if following is not None else None
        return next_pts is None or next_pts < pts

    def _by_the_clock(self, pts_seconds: float, is_lone: bool) -> float:
        """The seconds from the link's beginning to a timestamp. A clock that jumps back, or too far ahead, has restarted."""
        if self._origin is None:
            self._origin = pts_seconds
        at = pts_seconds - self._origin + self._put_off
        jump = at - self._end
        if is_lone and jump > LONGEST_GAP_SECONDS and self._began is not None:
            self._tally.heard.faults += 1
            return self._end
        is_restart = self._began is not None and (
            jump < -TOLERANCE_SECONDS or (self._form.restarts and jump > LONGEST_GAP_SECONDS)
        )
        if is_restart:
            self._put_off -= jump
            at = self._end
        return at

    def _see(self, packet: Packet[Stream]) -> None:
        """Count a picture: the file lasts as long as its pictures, unless their clock differs from that of the sound."""
        self._tally.weigh(packet.size)
        if packet.pts is None or not packet.time_base or self._origin is None:
            return
        end = float((packet.pts + (packet.duration or 0)) * packet.time_base) - self._origin + self._put_off
        is_near = end - max(self._picture_end, self._end) < LONGEST_GAP_SECONDS or not self._form.restarts
        if is_near and self._base + end <= self._tally.max_seconds:
            self._picture_end = max(self._picture_end, end)
