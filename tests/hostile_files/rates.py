"""Rates, channels and chunks of wav, AIFF, au, CAF and Wave64."""

import struct

from tests.audio_files import wav
from tests.hostile_files.mp4_files import words


def chunk(kind: bytes, body: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}4sI", kind, len(body)) + body + bytes(len(body) % 2)


def aiff(rate: bytes, channels: int = 1) -> bytes:
    common = chunk(b"COMM", struct.pack(">HIH", channels, 16_000, 16) + rate, ">")
    return chunk(b"FORM", b"AIFF" + common + chunk(b"SSND", bytes(32_008), ">"), ">")


def au(rate_hz: int, channels: int = 1) -> bytes:
    return b".snd" + words(24, 0xFFFFFFFF, 3, rate_hz, channels) + bytes(32_000)


def caf(rate_hz: float, more: bytes = b"", kind: bytes = b"lpcm", shape: tuple[int, ...] = (2, 2, 1, 1, 16)) -> bytes:
    desc = struct.pack(">4sqd4s5I", b"desc", 32, rate_hz, kind, *shape)
    return b"caff\0\1\0\0" + desc + more + struct.pack(">4sqI", b"data", 32_004, 0) + bytes(32_000)


def caf_packets(count: int) -> bytes:
    table = struct.pack(">4sqqqii", b"pakt", 24 + 1_000, count, count * 1_024, 0, 0) + b"\1" * 1_000
    return caf(16_000.0, table, b"alac", (0, 0, 1_024, 1, 16))


def w64(rate_hz: int) -> bytes:
    tail = bytes.fromhex("f3acd3118cd100c04f8edb8a")
    shape = struct.pack("<HHIIHH", 1, 1, rate_hz, (2 * rate_hz) & 0xFFFFFFFF, 2, 16)
    fmt, data = b"fmt " + tail + struct.pack("<Q", 40) + shape, b"data" + tail + struct.pack("<Q", 24 + 32_000) + bytes(32_000)
    whole = b"wave" + tail + fmt + data
    return b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000") + struct.pack("<Q", 24 + len(whole)) + whole


def wav_of_chunks(count: int) -> bytes:
    content = wav()
    return content[:12] + struct.pack("<4sI", b"junk", 0) * count + content[12:]
