"""Where one programme in a file ends and the next begins.

There are chained Ogg files (RFC 3533, section 4), files that were joined byte by byte, and recorders that begin anew within a
file. Players play all of it, but FFmpeg's demuxers mostly stop after the first programme. So each one gets its own demuxer.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from shared.audio.containers import Container
from shared.audio.content import Content
from shared.errors import MalformedAudio

#: More programmes than this in one file are an attempt to keep a reader busy: four hours of one-second clips are 14,400.
MOST_LINKS = 20_000
#: The most outermost boxes of an MP4 that are looked at: a fragment has two or three.
MOST_BOXES = 100_000
OVERSTATED_BYTES = 64
_OGG_PAGE = struct.Struct("<4sBBqIIIB")
_BEGINS = 2
_TURNED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_TS_BYTES, _TS_SYNC = 188, 0x47
#: A clock that jumps by more than this (also FFmpeg's limit) has begun anew. After this many packets without the followed clock,
#: the clock of another stream is followed.
_LONGEST_CLOCK_STEP_SECONDS, _TS_OTHER_CLOCK = 10.0, 5_000


@dataclass(frozen=True, slots=True)
class Link:
    """A programme: its bytes from `start` to before `end`. `lost_pages`: how often Ogg pages are missing or damaged in it."""

    start: int
    end: int
    lost_pages: int = 0


def links(content: Content, container: Container, start: int) -> Sequence[Link]:
    """The programmes of a file, in order; at least one. Raises `MalformedAudio` when there are more than `MOST_LINKS`."""
    if container is Container.OGG:
        return _bounded(_ogg_links(content, start))
    if container is Container.MPEG_TS:
        return _bounded(_transport_links(content, start))
    marker = _MARKERS.get(container)
    starts = [start]
    if marker:
        mark, before, confirms = marker
        at = content.find(mark, _search_from(content, start, container))
        while at >= 0 and len(starts) <= MOST_LINKS:
            begins, further = at - before, at + 1
            if begins > starts[-1] and confirms(content, begins):
                starts.append(begins)
                further = _search_from(content, begins, container)
            at = content.find(mark, max(further, at + 1))
    return _bounded(Link(begin, end) for begin, end in zip(starts, [*starts[1:], len(content)], strict=True))


def stated_end(content: Content, link: Link, container: Container) -> int | None:
    """Where the link's programme ends by its own header; None if the header does not say, or names a place beyond the file."""
    end = _STATED_ENDS[container](content, link.start) if container in _STATED_ENDS else None
    return end if end is not None and end <= len(content) else None


def _search_from(content: Content, start: int, container: Container) -> int:
    """Where the search for the next programme begins: not within the length that the header at `start` states.

    It begins a little before that end, since some headers count themselves as well. Without a stated length it begins at once.
    """
    end = (_STATED_ENDS[container](content, start) if container in _STATED_ENDS else None) or 0
    return max(start + 1, end - OVERSTATED_BYTES) if end <= len(content) else start + 1


def _riff_end(content: Content, start: int) -> int | None:
    head = content[start : start + 8]
    if head[:4] not in (b"RIFF", b"FORM") or len(head) < 8:
        return None
    size = int.from_bytes(head[4:], "big" if head[:4] == b"FORM" else "little")
    return start + 8 + size if 0 < size < 0x7FFF_0000 else None


def _matroska_end(content: Content, start: int) -> int | None:
    """The end of the segment, if its length is known."""
    at = content.find(b"\x18\x53\x80\x67", start, start + 4096)
    if at < 0 or len(content) < at + 12:
        return None
    length = 9 - content[at + 4].bit_length()
    size = int.from_bytes(content[at + 4 : at + 4 + length], "big") & ((1 << 7 * length) - 1)
    is_known = length <= 8 and size != (1 << 7 * length) - 1
    return at + 4 + length + size if is_known else None


def _mp4_end(content: Content, start: int) -> int | None:
    """Where the next file type box stands among the outermost boxes; if there is none, where they end."""
    at = start
    for number in range(MOST_BOXES):
        size, kind = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        if size == 1:
            size = int.from_bytes(content[at + 8 : at + 16], "big")
        if size < 8 or (number and kind == b"ftyp"):
            break
        at += size
    return at if at > start else None


_STATED_ENDS: Mapping[Container, Callable[[Content, int], int | None]] = {
    Container.WAV: _riff_end,
    Container.AIFF: _riff_end,
    Container.AVI: _riff_end,
    Container.WEBM: _matroska_end,
    Container.MP4: _mp4_end,
}


def _bounded(found: Iterator[Link]) -> Sequence[Link]:
    kept = []
    for link in found:
        kept.append(link)
        if len(kept) > MOST_LINKS:
            raise MalformedAudio(f"The file is made of more than {MOST_LINKS} files; convert it to one and submit it again.")
    return kept


def _ogg_links(content: Content, start: int) -> Iterator[Link]:
    """A link begins with the pages that open its streams; all of these stand before any other page."""
    begins, in_head, lost = start, True, 0
    expected: dict[int, int] = {}
    for page, kind, serial, number, is_whole in _ogg_pages(content, start):
        if kind & _BEGINS and not in_head:
            yield Link(begins, page, lost)
            begins, lost, expected = page, 0, {}
        elif serial in expected and number != expected[serial]:
            lost += 1
        lost += not is_whole
        in_head = bool(kind & _BEGINS)
        expected[serial] = (number + 1) & 0xFFFFFFFF
    yield Link(begins, len(content), lost)


def _ogg_pages(content: Content, start: int) -> Iterator[tuple[int, int, int, int, bool]]:
    """Place, kind, serial and number of each page, and whether it is complete and undamaged."""
    at = content.find(b"OggS", start)
    while at >= 0 and at + _OGG_PAGE.size <= len(content):
        _, version, kind, _, serial, number, _, segments = _OGG_PAGE.unpack_from(content, at)
        table = content[at + _OGG_PAGE.size : at + _OGG_PAGE.size + segments]
        following = at + _OGG_PAGE.size + segments + sum(table)
        is_whole = following <= len(content) and _is_sound(content[at:following])
        if version or (following < len(content) and content[following : following + 4] != b"OggS"):
            # The page is damaged, or not a page at all: go on at the next mark.
            following = content.find(b"OggS", at + 4)
        if not version:
            yield at, kind, serial, number, is_whole
        at = following


def _is_sound(page: bytes) -> bool:
    """Whether a page's checksum is right: FFmpeg passes over pages with a wrong one.

    Ogg's CRC takes the highest bit first and zlib's the lowest, so the bits of all bytes are reversed.
    """
    turned = (page[:22] + bytes(4) + page[26:]).translate(_TURNED)
    # Ogg's CRC starts from 0 and is not inverted; zlib's starts from all ones and is inverted.
    found = zlib.crc32(turned, 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return found.to_bytes(4, "little").translate(_TURNED) == page[25:21:-1]


def _transport_links(content: Content, start: int) -> Iterator[Link]:
    """A link begins with the first programme table before a clock that has begun anew (ISO 13818-1, 2.4.3.5).

    Recorders join the stretches that they received: the clock jumps, and everything else may change, too.
    """
    begins = start
    for jump in _clock_jumps(content, start):
        # The programme table stands before the packets that it describes.
        yield Link(begins, jump)
        begins = jump
    yield Link(begins, len(content))


def _clock_jumps(content: Content, start: int) -> Iterator[int]:
    count = (len(content) - start) // _TS_BYTES
    packets = np.frombuffer(content, np.uint8, count * _TS_BYTES, start).reshape(-1, _TS_BYTES)
    if not len(packets) or packets[0, 0] != _TS_SYNC:
        return
    pid = (packets[:, 1].astype(np.int32) & 0x1F) << 8 | packets[:, 2]
    has_clock = (packets[:, 0] == _TS_SYNC) & ((packets[:, 3] & 0x20) > 0) & (packets[:, 4] >= 7) & ((packets[:, 5] & 0x10) > 0)
    tables = np.flatnonzero((packets[:, 0] == _TS_SYNC) & (pid == 0) & ((packets[:, 1] & 0x40) > 0))
    last: tuple[int, int, float] | None = None
    for number in np.flatnonzero(has_clock):
        clock = int.from_bytes(packets[number, 6:10].tobytes(), "big") * 2 / 90_000
        if last and last[0] == pid[number] and not 0 <= clock - last[2] <= _LONGEST_CLOCK_STEP_SECONDS:
            between = tables[(tables > last[1]) & (tables <= number)]
            if len(between):
                yield start + int(between[0]) * _TS_BYTES
        if last is None or last[0] == pid[number] or number - last[1] > _TS_OTHER_CLOCK:
            last = int(pid[number]), int(number), clock


def _matches(pattern: bytes) -> Callable[[Content, int], bool]:
    compiled = re.compile(pattern, re.DOTALL)
    return lambda content, at: at >= 0 and compiled.match(content, at) is not None


def _begins_wavpack(content: Content, at: int) -> bool:
    """Whether a WavPack block with the first sample of a programme begins here, and is the first block of its channels."""
    return at >= 0 and content[at + 16 : at + 20] == bytes(4) and len(content) > at + 32 and bool(content[at + 25] & 8)


#: How a programme begins: a mark to search for, how many bytes into the programme the mark stands, and a check that confirms it.
_MARKERS: Mapping[Container, tuple[bytes, int, Callable[[Content, int], bool]]] = {
    Container.WAV: (b"WAVE", 8, _matches(rb"(?:RIFF|RIFX|RF64|BW64).{4}WAVE[A-Za-z][A-Za-z0-9 ]{3}")),
    Container.W64: (b"riff\x2e\x91\xcf\x11", 0, _matches(rb"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0.{8}wave\xf3\xac")),
    Container.FLAC: (b"fLaC", 0, _matches(rb"fLaC[\0\x80]\0\0\x22")),
    Container.AIFF: (b"FORM", 0, _matches(rb"FORM.{4}AIF[FC]")),
    Container.CAF: (b"caff", 0, _matches(rb"caff\0\x01..desc")),
    Container.AU: (b".snd", 0, _matches(rb"\.snd\0\0.{6}\0\0\0[\x01-\x1b]\0.{3}\0\0\0[\x01-\x08]")),
    Container.AMR: (b"#!AMR", 0, _matches(rb"#!AMR(?:-WB)?\n")),
    Container.TTA: (b"TTA1", 0, _matches(rb"TTA1[\x01\x02]\0[\x01-\x08]\0[\x08\x10\x18\x20]\0")),
    Container.FLV: (b"FLV\x01", 0, _matches(rb"FLV\x01[\0-\x05]\0\0\0\x09\0\0\0\0")),
    Container.AVI: (b"AVI LIST", 8, _matches(rb"RIFF.{4}AVI LIST.{4}hdrl")),
    Container.ASF: (b"0&\xb2u\x8ef\xcf\x11", 0, _matches(rb"0&\xb2u\x8ef\xcf\x11\xa6\xd9\0\xaa\0b\xcel.{12}\x01\x02")),
    Container.MP4: (b"ftyp", 4, _matches(rb"\0\0\0[\x0c-\xff]ftyp[A-Za-z0-9]{2}[A-Za-z0-9 ]{2}[\0 ]")),
    Container.WEBM: (b"\x1aE\xdf\xa3", 0, _matches(rb"\x1aE\xdf\xa3.{4,64}?\x42\x82.{1,8}(?:webm|matroska)")),
    Container.WAVPACK: (b"wvpk", 0, _begins_wavpack),
}
