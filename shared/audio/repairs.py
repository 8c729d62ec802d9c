"""Lengths that a recorder left at 0 because it died, or was cut off, before it could write them.

Where FFmpeg would read nothing then, it is shown the length that is there. The content itself stays as it is.
"""

from collections.abc import Mapping

from shared.audio.containers import Container
from shared.audio.content import Content
from shared.audio.links import Link

#: Headers are looked for within so much of the beginning.
_HEAD_BYTES = 1 << 16


def repairs(content: Content, link: Link, container: Container) -> Mapping[int, bytes]:
    """What is to be read instead of what is there, by its place in the content."""
    head = content[link.start : min(link.end, link.start + _HEAD_BYTES)]
    if container is Container.AIFF:
        return _aiff(head, link)
    return _rf64(head, link) if container is Container.WAV and head[:4] in (b"RF64", b"BW64") else {}


def _aiff(head: bytes, link: Link) -> Mapping[int, bytes]:
    """The chunk of the sound states 0."""
    at = head.find(b"SSND")
    if at < 0 or head[at + 4 : at + 8] != bytes(4):
        return {}
    there = link.end - link.start - at - 8
    return {link.start + at + 4: there.to_bytes(4, "big")} if there > 8 else {}


def _rf64(head: bytes, link: Link) -> Mapping[int, bytes]:
    """The 64-bit length of the data is 0, or so is its 32-bit one."""
    long, data = head.find(b"ds64"), head.find(b"data")
    if long < 0 or data < 0 or len(head) < data + 8:
        return {}
    there = link.end - link.start - data - 8
    stated, short = head[long + 16 : long + 24], head[data + 4 : data + 8]
    if stated == bytes(8) and short in (bytes(4), b"\xff" * 4):
        return {link.start + long + 16: there.to_bytes(8, "little"), link.start + data + 4: b"\xff" * 4}
    return {}
