"""A file, read once from its first packet to its last. Length and sound both come from this reading.

Only for processes behind a wall (`shared.audio.walls`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import av.container
from av.audio.stream import AudioStream

from shared.audio.containers import FORMS, Container
from shared.audio.content import Content, forget
from shared.audio.findings import Heard
from shared.audio.links import Link, links, stated_end
from shared.audio.mp4_tables import check_tables
from shared.audio.programme import Placed, Programme, Tally
from shared.audio.promises import promised_seconds
from shared.audio.recognition import begins_at, recognise, tag_bytes
from shared.audio.source import check_shape, opened, read
from shared.audio.tracks import choose, described
from shared.audio.wav import WavShape, wav_shape
from shared.errors import MalformedAudio, UnsupportedAudio

#: The bytes before the first frame are the end of a cut frame, or a tag. More than this may be sound that cannot be read.
MOST_JUNK_BYTES = 2_000
#: A track that begins within this time of another one's end continues it.
GOES_ON_SECONDS = 1.0
#: Formats whose files hold only frames and tags.
_BARE_FRAMES = frozenset(
    {Container.MP3, Container.AAC, Container.LATM, Container.AC3, Container.EAC3, Container.DTS, Container.AMR, Container.GSM}
)


@dataclass
class _Span:
    """The number of packets in a stream, and the times of the first and the last one."""

    first_seconds: float
    last_seconds: float
    packets: int = 0


class Reading:
    """One file, read from its first packet to its last. `heard` is complete once `packets` is exhausted."""

    def __init__(self, content: Content, track: int | None, max_seconds: float) -> None:
        """`track`: which audio track, counted from 1; None: the default one, or the first one that holds packets.

        Raises `EmptyAudio`, `NotAudio`, `MalformedAudio`.
        """
        self.content, self._track = content, track
        found = recognise(content)
        self.container, self.form = found.container, FORMS[found.container]
        self._links = links(content, found.container, found.at)
        forget(content)
        junk = content[found.at - found.junk_bytes : found.at] if found.at else content[: found.junk_bytes]
        self._is_begun_late = len(junk) > MOST_JUNK_BYTES and len(set(junk)) > 1
        self.heard = Heard(is_exact=self.form.exact)
        self._tally = Tally(self.heard, max_seconds, len(content))

    def packets(self) -> Iterator[Placed]:
        """The chosen track's packets in order, over all programmes of the file.

        Raises `MalformedAudio` when there are none, `UnsupportedAudio`, and `AudioTooLong` as soon as `max_seconds` are exceeded.
        """
        failure: MalformedAudio | UnsupportedAudio | None = None
        self.heard.faults += self._is_begun_late + self._is_followed_by_another()
        for link in self._links:
            with ExitStack() as stack:
                try:
                    programme = self._open(link, stack)
                except (MalformedAudio, UnsupportedAudio) as error:
                    # A broken programme among several counts as a fault, and the others are still read.
                    failure = failure or error
                    self.heard.faults += 1
                else:
                    yield from programme.packets()
                    programme.conclude()
        if not self.heard.packets:
            raise failure or MalformedAudio("The audio track is empty or damaged; export it again and resubmit.")

    def _is_followed_by_another(self) -> bool:
        """Whether a file of a known container follows the last programme. That file is not read, so the caller is told."""
        end = stated_end(self.content, self._links[-1], self.container)
        return end is not None and len(self.content) - end > MOST_JUNK_BYTES and begins_at(self.content, end)

    @property
    def is_of_floats(self) -> bool:
        """Whether the samples are floats, which may be NaN or infinite."""
        return any(track.codec is not None and track.codec.startswith("pcm_f") for track in self.heard.tracks)

    def frame_bytes(self) -> int:
        """How many bytes of frames there should be; 0 for a container that also holds other things."""
        if self.form.keeps_time or self.container not in _BARE_FRAMES:
            return 0
        # Tags hold pictures. They stand at the beginning, between files that were joined, and at the end.
        return max(0, len(self.content) - self._links[0].start - tag_bytes(self.content))

    def _open(self, link: Link, stack: ExitStack) -> Programme:
        if self.container is Container.MP4:
            check_tables(self.content, link.start, link.end)
        elif self.container is Container.WAV and self.content[link.start : link.start + 4] == b"RIFX":
            raise UnsupportedAudio("A wav with big-endian numbers (RIFX) cannot be read; save it as RIFF or as AIFF.")
        elif self.container is Container.WAV and (shape := wav_shape(self.content, link.start)):
            self._check_wav(shape, link)
        source = stack.enter_context(opened(self.content, link, self.container))
        chosen = self._choose(source, link)
        self.heard.faults += link.lost_pages
        promised = promised_seconds(self.content, link.start, self.container, source, chosen)
        return Programme(self._tally, self.container, source, chosen, promised)

    def _check_wav(self, shape: WavShape, link: Link) -> None:
        """Check the shape here, since FFmpeg refuses some sample rates without an error message."""
        if shape.bytes_per_second:
            self._tally.check((min(shape.data_bytes or link.end, link.end - shape.data_at)) / shape.bytes_per_second)
        check_shape(shape.rate_hz, shape.channels)

    def _choose(self, source: av.container.InputContainer, link: Link) -> AudioStream:
        streams = list(source.streams.audio)
        spans = self._spans(link) if len(streams) > 1 else {}
        chosen = choose(streams, self._track, {index: span.packets for index, span in spans.items()})
        self.heard.faults += _goes_on_elsewhere(chosen.index, spans)
        # Some headers leave rate and channels to the frames.
        if chosen.rate and chosen.channels:
            check_shape(chosen.rate, chosen.channels)
        heard = self.heard
        if not heard.tracks:
            heard.tracks, heard.track = described(streams), streams.index(chosen) + 1
            heard.sample_rate_hz, heard.channels = chosen.rate or 0, chosen.channels
        return chosen

    def _spans(self, link: Link) -> Mapping[int, _Span]:
        """The span of each audio stream, by the stream's index. Only read where there are several to choose from."""
        spans: dict[int, _Span] = {}
        with opened(self.content, link, self.container) as source:
            for packet in read(source, list(source.streams.audio), Heard()):
                if packet.size:
                    at = float(packet.pts * packet.time_base) if packet.pts is not None and packet.time_base else 0.0
                    span = spans.setdefault(packet.stream_index, _Span(first_seconds=at, last_seconds=at))
                    span.packets, span.last_seconds = span.packets + 1, at
        return spans


def _goes_on_elsewhere(chosen: int, spans: Mapping[int, _Span]) -> bool:
    """Whether another track begins where this one ends: a track of a broadcast may continue under another number."""
    last = spans[chosen].last_seconds if chosen in spans else 0.0
    others = [span.first_seconds for index, span in spans.items() if index != chosen]
    return any(first > 0 and abs(first - last) < GOES_ON_SECONDS for first in others)
