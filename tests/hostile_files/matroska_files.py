"""WebM and Matroska: laces, nested elements, gaps."""

import struct
import zlib

from tests.hostile_files.other_files import OPUS_HEAD

MILLION = 1_000_000


def element(name: str, *parts: bytes, size: int | None = None) -> bytes:
    body = b"".join(parts)
    return bytes.fromhex(name) + (0x01 << 56 | (len(body) if size is None else size)).to_bytes(8, "big") + body


def matroska(
    *behind_tracks: bytes, tracks: int = 1, codec: bytes = b"A_PCM/INT/LIT", language: bytes = b"eng", more: bytes = b""
) -> bytes:
    """A file of PCM at 16 kHz. `more`: elements of each track."""
    sound = element("e1", element("b5", struct.pack(">d", 16_000.0)), element("9f", b"\1"), element("6264", b"\x10"))
    track = element("83", b"\2") + element("86", codec) + element("22b59c", language) + sound + more
    entries = (element("ae", element("d7", number(n)), element("73c5", number(n)), track) for n in range(1, tracks + 1))
    parts = element("1549a966", element("2ad7b1", number(MILLION))), element("1654ae6b", *entries), *behind_tracks
    return element("1a45dfa3", element("4282", b"matroska")) + element("18538067", *parts)


def number(value: int) -> bytes:
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")


def cluster(*blocks: bytes, at: int = 0) -> bytes:
    return element("1f43b675", element("e7", number(at)), *blocks)


def block(data: bytes, at: int = 0, flags: int = 0x80) -> bytes:
    return element("a3", struct.pack(">BhB", 0x81, at, flags), data)


def laced(kind: int) -> bytes:
    """Blocks of 256 frames of no length, or of two bytes: 1 is Xiph, 2 fixed, 3 EBML lacing."""
    sizes = {1: bytes(255), 2: bytes(512), 3: b"\x80" + b"\xbf" * 254}[kind]
    one = block(b"\xff" + sizes, flags=0x80 | kind << 1)
    return matroska(*(cluster(one * 100, at=n) for n in range(60)))


def gap(seconds: int) -> bytes:
    sound = block(bytes(3_200))
    return matroska(cluster(sound), *(cluster(sound, at=1_000 * seconds + 100 * n) for n in range(3)))


def inflated(count: int) -> bytes:
    """A file in which each block of ten kilobytes unpacks to nearly ten megabytes."""
    packing = element("6d80", element("6240", element("5034", element("4254", b"\0"))))
    one = block(zlib.compress(bytes(9_800_000), 9))
    more = packing + element("63a2", OPUS_HEAD)
    return matroska(*(cluster(one, at=10 * n) for n in range(count)), codec=b"A_OPUS", more=more)


def nested_elements(depth: int) -> bytes:
    tags = bytes.fromhex("67c8") + b"\x01" + b"\xff" * 7
    return matroska(element("1254c367", element("7373", tags * depth)), cluster(block(bytes(3_200))))


def cues(count: int) -> bytes:
    point = element("bb", element("b3", b"\1"), element("b7", element("f7", b"\1"), element("f1", b"\xff" * 4)))
    return matroska(element("1c53bb6b", point * count), cluster(block(bytes(3_200))))
