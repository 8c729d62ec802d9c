"""MP4: tables, edits and boxes."""

import struct
import zlib

MILLION = 1_000_000


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def words(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def track(tables: bytes, edits: bytes = b"", number: int = 1) -> bytes:
    header = box(b"tkhd", words(1, 0, 0, number, 0, 60_000) + bytes(60))
    media = box(b"mdhd", words(0, 0, 0, 16_000, 960_000, 0)) + box(b"hdlr", words(0, 0), b"soun", bytes(13))
    sound = struct.pack(">6sHHHI2H2HI", b"", 1, 0, 0, 0, 1, 16, 0, 0, 16_000 << 16)
    entries = box(b"stsd", words(0, 1), box(b"sowt", sound))
    return box(b"trak", header, edits, box(b"mdia", media, box(b"minf", box(b"stbl", entries, tables))))


FTYP = box(b"ftyp", b"M4A \0\0\0\0M4A ")
MVHD = box(b"mvhd", words(0, 0, 0, 1_000, 60_000) + bytes(80))
SMALL_TABLES = (
    box(b"stts", words(0, 1, 100, 1_024)),
    box(b"stsc", words(0, 1, 1, 100, 1)),
    box(b"stsz", words(0, 0, 100), words(*[32] * 100)),
    box(b"stco", words(0, 1, 900)),
)


def mp4(*tables: bytes, edits: bytes = b"", tracks: int = 1) -> bytes:
    """A file with the usual tables, in which the given tables replace those of the same kind."""
    kinds = {table[4:8] for table in tables}
    kept = b"".join((*(table for table in SMALL_TABLES if table[4:8] not in kinds), *tables))
    moov = box(b"moov", MVHD, *(track(kept, edits, number) for number in range(1, tracks + 1)))
    return FTYP + moov + box(b"mdat", bytes(4_000))


def constant_samples(count: int) -> bytes:
    return mp4(box(b"stsz", words(0, 1, count)), box(b"stts", words(0, 1, count, 2)), box(b"stsc", words(0, 1, 1, count, 1)))


def edits(count: int, samples: int, hidden_in: bytes = b"edts") -> bytes:
    listed = box(b"elst", words(0, count), *(words(1, 0, 0x10000) for _ in range(count)))
    tables = box(b"stsz", words(0, 1, samples)), box(b"stts", words(0, 1, samples, 2))
    return mp4(*tables, box(b"stsc", words(0, 1, 1, samples, 1)), edits=box(hidden_in, listed))


def fragments(count: int, samples: int) -> bytes:
    """A file of fragments that each promise this many samples, all of the default size."""
    empty = b"".join(box(kind, words(0, 0, 0)) for kind in (b"stts", b"stsc", b"stsz", b"stco"))
    moov = box(b"moov", MVHD, track(empty), box(b"mvex", box(b"trex", words(0, 1, 1, 1, 2, 0))))
    run = box(b"tfhd", words(0x20, 1, 0)) + box(b"tfdt", words(0, 0)) + box(b"trun", words(0, samples))
    return FTYP + moov + count * (box(b"moof", box(b"mfhd", words(0, 1)), box(b"traf", run)) + box(b"mdat", bytes(8)))


def compressed_tables() -> bytes:
    moov = box(b"moov", MVHD, track(b"".join(SMALL_TABLES)), box(b"free", bytes(200 * MILLION)))
    packed = words(len(moov)) + zlib.compress(moov, 9)
    return FTYP + box(b"moov", box(b"cmov", box(b"dcom", b"zlib"), box(b"cmvd", packed))) + box(b"mdat", bytes(4_000))


def nested_boxes(kind: bytes, depth: int) -> bytes:
    head = b"".join(struct.pack(">I4s", 8 * (depth - level), kind) for level in range(depth))
    return FTYP + box(b"moov", MVHD, head)
