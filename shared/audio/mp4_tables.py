"""Checks an MP4's tables before FFmpeg builds an index from them (ISO 14496-12).

A few bytes can promise millions of samples. Each sample costs an index entry, and FFmpeg goes through that index once per edit of
an edit list. The counts are added up here, without anything being built.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from shared.audio.content import Content
from shared.errors import MalformedAudio

_CONTAINERS = frozenset({b"moov", b"trak", b"edts", b"mdia", b"minf", b"stbl", b"moof", b"traf", b"mvex"})
#: No recorder nests deeper or writes more boxes: a fragment of a second has about ten.
_MOST_DEPTH, _MOST_BOXES = 8, 400_000
#: Samples of four hours of the shortest usual frames. More are allowed only while each has at least a byte of the file.
MOST_SAMPLES = 1_500_000
#: Samples times edits, which is what FFmpeg goes through. This many take about a second.
MOST_EDIT_STEPS = 20_000_000


@dataclass
class _Counts:
    """The counts of one track."""

    samples: int = 0
    edits: int = 0
    is_pcm: bool = False


@dataclass
class _Tally:
    tracks: list[_Counts] = field(default_factory=lambda: [_Counts()])
    boxes: int = 0


def check_tables(content: Content, start: int, end: int) -> None:
    """Raises `MalformedAudio` when the tables promise more than can be there."""
    tally = _Tally()
    _count(content, start, end, 0, tally)
    limit = max(MOST_SAMPLES, end - start)
    for track in tally.tracks:
        # PCM is read by chunks, not by samples.
        if not track.is_pcm and (track.samples > limit or track.edits * track.samples > MOST_EDIT_STEPS):
            raise MalformedAudio(
                f"The file's tables promise {track.samples} samples in {track.edits} edits, which cannot be; export it again."
            )


def _count(content: Content, start: int, end: int, depth: int, tally: _Tally) -> None:
    for kind, body, box_end in _boxes(content, start, end):
        tally.boxes += 1
        if tally.boxes > _MOST_BOXES or depth > _MOST_DEPTH:
            raise MalformedAudio("The file's boxes are nested too deep, or far too many; export it again.")
        if kind == b"trak":
            tally.tracks.append(_Counts())
        if kind in _CONTAINERS:
            _count(content, body, box_end, depth + 1, tally)
        else:
            _note(content, kind, body, box_end, tally.tracks[-1])


def _note(content: Content, kind: bytes, body: int, end: int, track: _Counts) -> None:
    if kind in (b"stsz", b"stz2"):
        track.samples += _number(content, body + 8, end)
    elif kind == b"trun":
        track.samples += _number(content, body + 4, end)
    elif kind == b"elst":
        track.edits += _number(content, body + 4, end)
    elif kind == b"stts":
        # FFmpeg's own condition for reading by chunks: one entry, and every sample lasts one tick.
        track.is_pcm = _number(content, body + 4, end) == 1 and _number(content, body + 12, end) == 1


def _number(content: Content, at: int, end: int) -> int:
    return int.from_bytes(content[at : at + 4], "big") if at + 4 <= end else 0


def _boxes(content: Content, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The kind of each box in a stretch, and where its body starts and ends."""
    at = start
    while at + 8 <= end:
        size, kind = struct.unpack(">I4s", content[at : at + 8])
        body = at + 8
        if size == 1:
            size = int.from_bytes(content[body : body + 8], "big")
            body += 8
        elif size == 0:
            size = end - at
        if size < body - at:
            return
        yield kind, body, min(end, at + size)
        at += size
