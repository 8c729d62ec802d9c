"""Header fields that FFmpeg takes wrongly: it is shown other values. The content itself stays unchanged.

These are: lengths that a recorder left at 0, because it died or was cut off before it could write them; samples that fill only
part of their container; channel layouts, which are not needed here, and over which FFmpeg or PyAV corrupts its memory (6.1, 7.1).
"""

from collections.abc import Mapping

from shared.audio.containers import Container
from shared.audio.content import Content
from shared.audio.links import Link

#: How much of the beginning of a file is searched for headers.
_HEAD_BYTES = 1 << 16
MOST_LAYOUTS, MOST_LAYOUT_BYTES = 100, 2_048


def repairs(content: Content, link: Link, container: Container) -> Mapping[int, bytes]:
    """The bytes that FFmpeg is shown instead of the content's own, keyed by the offset of the first byte."""
    head = content[link.start : min(link.end, link.start + _HEAD_BYTES)]
    if container is Container.AIFF:
        return _aiff(head, link)
    if container is Container.WAV:
        return {**_rf64(head, link), **_valid_bits(head, link)}
    if container in (Container.CAF, Container.MP4):
        return _channel_layout(content, link)
    return {}


def _aiff(head: bytes, link: Link) -> Mapping[int, bytes]:
    """Repair a sound chunk (SSND) whose stated length is 0."""
    at = head.find(b"SSND")
    if at < 0 or head[at + 4 : at + 8] != bytes(4):
        return {}
    there = link.end - link.start - at - 8
    return {link.start + at + 4: there.to_bytes(4, "big")} if there > 8 else {}


def _rf64(head: bytes, link: Link) -> Mapping[int, bytes]:
    """Repair an RF64 whose 64-bit data length is 0, and whose 32-bit one is 0 or all ones."""
    if head[:4] not in (b"RF64", b"BW64"):
        return {}
    long, data = head.find(b"ds64"), head.find(b"data")
    if long < 0 or data < 0 or len(head) < data + 8:
        return {}
    there = link.end - link.start - data - 8
    stated, short = head[long + 16 : long + 24], head[data + 4 : data + 8]
    if stated == bytes(8) and short in (bytes(4), b"\xff" * 4):
        return {link.start + long + 16: there.to_bytes(8, "little"), link.start + data + 4: b"\xff" * 4}
    return {}


def _valid_bits(head: bytes, link: Link) -> Mapping[int, bytes]:
    """Repair an extensible PCM of which only some bits are used: the others are 0, and FFmpeg takes it for another codec."""
    at = head.find(b"fmt ") + 8
    if at < 8 or head[at : at + 2] != b"\xfe\xff" or head[at + 24 : at + 26] != b"\x01\x00":
        return {}
    bits = head[at + 14 : at + 16]
    return {link.start + at + 18: bits} if head[at + 18 : at + 20] != bits else {}


def _channel_layout(content: Content, link: Link) -> Mapping[int, bytes]:
    """Show the channel layout chunk of a CAF, or the box of a MOV, as a free one."""
    found: dict[int, bytes] = {}
    at = content.find(b"chan", link.start, link.end)
    while at >= 0 and len(found) < MOST_LAYOUTS:
        if _is_layout(content, at):
            found[at] = b"free"
        at = content.find(b"chan", at + 4, link.end)
    return found


def _is_layout(content: Content, at: int) -> bool:
    """Whether sizes and a layout stand where they should: before and after the name in a MOV, after it in a CAF."""
    mov_size, caf_size = content[at - 4 : at], content[at + 4 : at + 12]
    is_box = 24 <= int.from_bytes(mov_size, "big") <= MOST_LAYOUT_BYTES and content[at + 4 : at + 8] == bytes(4)
    return is_box or 12 <= int.from_bytes(caf_size, "big") <= MOST_LAYOUT_BYTES
