"""AVI, ASF, Ogg, FLAC, transport streams, FLV, TTA, AAC."""

import struct
import zlib

from tests.audio_files import tone, with_av, with_soundfile
from tests.hostile_files.mp4_files import words
from tests.hostile_files.rates import chunk

HUGE = 0xFFFF_FFF0


def avi(index: bytes, streams: int = 1, frames: int = 16_000) -> bytes:
    head = struct.pack("<14I", 0, 0, 0, 0x10, frames, 0, streams, 0, 0, 0, 0, 0, 0, 0)
    strh = struct.pack("<4s4sIIIIIIIIII8s", b"auds", b"", 0, 0, 0, 1, 16_000, 0, HUGE, 0, 0, 2, b"")
    strf = struct.pack("<HHIIHHH", 1, 1, 16_000, 32_000, 2, 16, 0)
    stream = chunk(b"LIST", b"strl" + chunk(b"strh", strh) + chunk(b"strf", strf) + index)
    movi = chunk(b"LIST", b"movi" + chunk(b"00wb", bytes(32_000)))
    index_1 = chunk(b"idx1", struct.pack("<4sIII", b"00wb", 0x10, 4, 1) * (0 if index else 200_000))
    return chunk(b"RIFF", b"AVI " + chunk(b"LIST", b"hdrl" + chunk(b"avih", head) + stream * streams) + movi + index_1)


def super_index(count: int) -> bytes:
    entries = struct.pack("<QII", 1_000, 0x7FFFFFFF, 0x7FFFFFFF) * count
    return avi(chunk(b"indx", struct.pack("<HBBI4s3I", 4, 0, 0, 0x7FFFFFFF, b"00wb", 0, 0, 0) + entries))


def asf(objects: int, inner_size: int) -> bytes:
    guid = bytes.fromhex("9107dcb7b7a9cf118ee600c00c205365")
    stream = guid + struct.pack("<Q", inner_size) + bytes(54)
    body = stream * objects
    head = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + struct.pack("<QIBB", 30 + len(body), objects, 1, 2)
    return head + body + bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c") + bytes(26) + bytes(4_000)


def page(body: bytes, serial: int = 1, number: int = 0, kind: int = 2) -> bytes:
    lacing = bytes([255] * (len(body) // 255) + [len(body) % 255])
    head = struct.pack("<4sBBqIIIB", b"OggS", 0, kind, 0, serial, number, 0, len(lacing)) + lacing
    crc = 0
    for byte in head + body:
        crc = (crc << 8 & 0xFFFFFFFF) ^ CRC[crc >> 24 ^ byte]
    return head[:22] + struct.pack("<I", crc) + head[26:] + body


def crc_of(byte: int) -> int:
    value = byte << 24
    for _ in range(8):
        value = (value << 1 ^ 0x04C11DB7 if value & 0x80000000 else value << 1) & 0xFFFFFFFF
    return value


CRC = [crc_of(byte) for byte in range(256)]
OPUS_HEAD = b"OpusHead\1\1\0\0\x80\xbb\0\0\0\0\0"


def opus_comments(count: int, length: int) -> bytes:
    tags = b"OpusTags" + struct.pack("<I", 1) + b"x" + struct.pack("<II", count, length) + bytes(200)
    sound = b"".join(page(b"\xf8\xff\xfe", number=n, kind=0) for n in range(2, 60))
    return page(OPUS_HEAD) + page(tags, number=1, kind=0) + sound


def flac(*blocks: tuple[int, int, bytes]) -> bytes:
    """A valid flac with more blocks of metadata: type, claimed size, body."""
    content = with_soundfile(tone(), "FLAC", "PCM_16")
    more = b"".join(bytes([kind]) + claimed.to_bytes(3, "big") + body for kind, claimed, body in blocks)
    return content[:4] + b"\0" + content[5:42] + more + content[42:]


def picture(claimed: int) -> bytes:
    return words(3, 9) + b"image/png" + words(0, 9, 9, 24, 0, claimed) + bytes(100)


def ts_of(tracks: int) -> bytes:
    """39 programmes that each list up to 30 elementary streams, and a packet of each of the `tracks` streams."""
    streams = b"".join(struct.pack(">BHH", 0x0F, 0xE000 | 0x100 + n, 0xF000) for n in range(min(tracks, 30)))
    programmes = section(0, b"".join(struct.pack(">HH", n, 0xE000 | 0x20 + n) for n in range(1, 40)))
    tables = (ts_packet(0x20 + n, b"\0" + section(2, struct.pack(">HH", 0xE100, 0xF000) + streams, n)) for n in range(1, 40))
    frame = b"\0\0\1\xc0\0\0\x80\x80\5\x21\0\1\0\1\xff\xf1\x50\x40\x02\xff\xfc" + bytes(120)
    packets = (ts_packet(0, b"\0" + programmes), *tables, *(ts_packet(0x100 + n, frame) for n in range(tracks)))
    return b"".join(packets) * 8


def section(table: int, body: bytes, number: int = 1) -> bytes:
    head = struct.pack(">BHHBBB", table, 0xB000 | len(body) + 9, number, 0xC1, 0, 0) + body
    crc = 0xFFFFFFFF
    for byte in head:
        crc = (crc << 8 & 0xFFFFFFFF) ^ CRC[crc >> 24 ^ byte]
    return head + struct.pack(">I", crc)


def ts_packet(pid: int, body: bytes) -> bytes:
    return (struct.pack(">BHB", 0x47, 0x4000 | pid, 0x10) + body).ljust(188, b"\xff")[:188]


def flv_nested(depth: int) -> bytes:
    data = b"\2\0\nonMetaData" + b"\3\0\1a" * depth + b"\0\0\t" * depth
    tag = b"\x12" + len(data).to_bytes(3, "big") + bytes(7) + data
    return b"FLV\1\4\0\0\0\x09\0\0\0\0" + tag + len(tag).to_bytes(4, "big")


def tta(samples: int) -> bytes:
    head = b"TTA1" + struct.pack("<HHHII", 1, 1, 16, 768_000, samples)
    return head + struct.pack("<I", zlib.crc32(head)) + words(1) * 10_000


def two_rates() -> bytes:
    """An ADTS stream in which every frame has another rate than the one before."""
    one, other = (with_av(tone(0.3), "adts", "aac", rate_hz) for rate_hz in (48_000, 16_000))
    return (
        one[: int.from_bytes(one[3:6], "big") >> 5 & 0x1FFF] + other[: int.from_bytes(other[3:6], "big") >> 5 & 0x1FFF]
    ) * 4_000
