"""Files that are made to break or exhaust their reader: small ones, that promise or hide something large. All are made here."""

import os
import struct
import zlib
from collections.abc import Callable, Mapping
from functools import partial

from tests.audio_files import float_wav_with, tone, wav, wav_header, with_av, with_soundfile

MILLION = 1_000_000
_HUGE = 0xFFFF_FFF0


def varied(content: bytes) -> bytes:
    """The same file with another hash: a few bytes behind its end, which no reader minds."""
    return content + b"\0\0" + os.urandom(6)


# --- MP4 ---


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def _words(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def _track(tables: bytes, edits: bytes = b"", number: int = 1) -> bytes:
    header = _box(b"tkhd", _words(1, 0, 0, number, 0, 60_000) + bytes(60))
    media = _box(b"mdhd", _words(0, 0, 0, 16_000, 960_000, 0)) + _box(b"hdlr", _words(0, 0), b"soun", bytes(13))
    sound = struct.pack(">6sHHHI2H2HI", b"", 1, 0, 0, 0, 1, 16, 0, 0, 16_000 << 16)
    entries = _box(b"stsd", _words(0, 1), _box(b"sowt", sound))
    return _box(b"trak", header, edits, _box(b"mdia", media, _box(b"minf", _box(b"stbl", entries, tables))))


_FTYP = _box(b"ftyp", b"M4A \0\0\0\0M4A ")
_MVHD = _box(b"mvhd", _words(0, 0, 0, 1_000, 60_000) + bytes(80))
_SMALL_TABLES = (
    _box(b"stts", _words(0, 1, 100, 1_024)),
    _box(b"stsc", _words(0, 1, 1, 100, 1)),
    _box(b"stsz", _words(0, 0, 100), _words(*[32] * 100)),
    _box(b"stco", _words(0, 1, 900)),
)


def _mp4(*tables: bytes, edits: bytes = b"", tracks: int = 1) -> bytes:
    """Of the usual tables, these in place of those of their kind."""
    kinds = {table[4:8] for table in tables}
    kept = b"".join((*(table for table in _SMALL_TABLES if table[4:8] not in kinds), *tables))
    moov = _box(b"moov", _MVHD, *(_track(kept, edits, number) for number in range(1, tracks + 1)))
    return _FTYP + moov + _box(b"mdat", bytes(4_000))


def _constant_samples(count: int) -> bytes:
    return _mp4(
        _box(b"stsz", _words(0, 1, count)), _box(b"stts", _words(0, 1, count, 2)), _box(b"stsc", _words(0, 1, 1, count, 1))
    )


def _edits(count: int, samples: int, hidden_in: bytes = b"edts") -> bytes:
    listed = _box(b"elst", _words(0, count), *(_words(1, 0, 0x10000) for _ in range(count)))
    tables = _box(b"stsz", _words(0, 1, samples)), _box(b"stts", _words(0, 1, samples, 2))
    return _mp4(*tables, _box(b"stsc", _words(0, 1, 1, samples, 1)), edits=_box(hidden_in, listed))


def _fragments(count: int, samples: int) -> bytes:
    """Each promises so many samples, of the sizes that are set for all of them."""
    empty = b"".join(_box(kind, _words(0, 0, 0)) for kind in (b"stts", b"stsc", b"stsz", b"stco"))
    moov = _box(b"moov", _MVHD, _track(empty), _box(b"mvex", _box(b"trex", _words(0, 1, 1, 1, 2, 0))))
    run = _box(b"tfhd", _words(0x20, 1, 0)) + _box(b"tfdt", _words(0, 0)) + _box(b"trun", _words(0, samples))
    return _FTYP + moov + count * (_box(b"moof", _box(b"mfhd", _words(0, 1)), _box(b"traf", run)) + _box(b"mdat", bytes(8)))


def _compressed_tables() -> bytes:
    moov = _box(b"moov", _MVHD, _track(b"".join(_SMALL_TABLES)), _box(b"free", bytes(200 * MILLION)))
    packed = _words(len(moov)) + zlib.compress(moov, 9)
    return _FTYP + _box(b"moov", _box(b"cmov", _box(b"dcom", b"zlib"), _box(b"cmvd", packed))) + _box(b"mdat", bytes(4_000))


def _nested_boxes(kind: bytes, depth: int) -> bytes:
    head = b"".join(struct.pack(">I4s", 8 * (depth - level), kind) for level in range(depth))
    return _FTYP + _box(b"moov", _MVHD, head)


# --- WebM, Matroska ---


def _element(name: str, *parts: bytes, size: int | None = None) -> bytes:
    body = b"".join(parts)
    return bytes.fromhex(name) + (0x01 << 56 | (len(body) if size is None else size)).to_bytes(8, "big") + body


def _matroska(
    *behind_tracks: bytes, tracks: int = 1, codec: bytes = b"A_PCM/INT/LIT", language: bytes = b"eng", more: bytes = b""
) -> bytes:
    """PCM at 16 kHz. `more`: elements of each track."""
    sound = _element("e1", _element("b5", struct.pack(">d", 16_000.0)), _element("9f", b"\1"), _element("6264", b"\x10"))
    track = _element("83", b"\2") + _element("86", codec) + _element("22b59c", language) + sound + more
    entries = (_element("ae", _element("d7", _number(n)), _element("73c5", _number(n)), track) for n in range(1, tracks + 1))
    parts = _element("1549a966", _element("2ad7b1", _number(MILLION))), _element("1654ae6b", *entries), *behind_tracks
    return _element("1a45dfa3", _element("4282", b"matroska")) + _element("18538067", *parts)


def _number(value: int) -> bytes:
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")


def _cluster(*blocks: bytes, at: int = 0) -> bytes:
    return _element("1f43b675", _element("e7", _number(at)), *blocks)


def _block(data: bytes, at: int = 0, flags: int = 0x80) -> bytes:
    return _element("a3", struct.pack(">BhB", 0x81, at, flags), data)


def _laced(kind: int) -> bytes:
    """Blocks of 256 frames of no length, or of two bytes: 1 Xiph, 2 fixed, 3 EBML lacing."""
    sizes = {1: bytes(255), 2: bytes(512), 3: b"\x80" + b"\xbf" * 254}[kind]
    block = _block(b"\xff" + sizes, flags=0x80 | kind << 1)
    return _matroska(*(_cluster(block * 100, at=n) for n in range(60)))


def _gap(seconds: int) -> bytes:
    sound = _block(bytes(3_200))
    return _matroska(_cluster(sound), *(_cluster(sound, at=1_000 * seconds + 100 * n) for n in range(3)))


def _inflated(count: int) -> bytes:
    """Each block of ten kilobytes becomes one of nearly ten megabytes."""
    packing = _element("6d80", _element("6240", _element("5034", _element("4254", b"\0"))))
    block = _block(zlib.compress(bytes(9_800_000), 9))
    more = packing + _element("63a2", _OPUS_HEAD)
    return _matroska(*(_cluster(block, at=10 * n) for n in range(count)), codec=b"A_OPUS", more=more)


def _nested_elements(depth: int) -> bytes:
    tags = bytes.fromhex("67c8") + b"\x01" + b"\xff" * 7
    return _matroska(_element("1254c367", _element("7373", tags * depth)), _cluster(_block(bytes(3_200))))


def _cues(count: int) -> bytes:
    point = _element("bb", _element("b3", b"\1"), _element("b7", _element("f7", b"\1"), _element("f1", b"\xff" * 4)))
    return _matroska(_element("1c53bb6b", point * count), _cluster(_block(bytes(3_200))))


# --- rates, channels, chunks ---


def _chunk(kind: bytes, body: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}4sI", kind, len(body)) + body + bytes(len(body) % 2)


def _aiff(rate: bytes, channels: int = 1) -> bytes:
    common = _chunk(b"COMM", struct.pack(">HIH", channels, 16_000, 16) + rate, ">")
    return _chunk(b"FORM", b"AIFF" + common + _chunk(b"SSND", bytes(32_008), ">"), ">")


def _au(rate_hz: int, channels: int = 1) -> bytes:
    return b".snd" + _words(24, 0xFFFFFFFF, 3, rate_hz, channels) + bytes(32_000)


def _caf(rate_hz: float, more: bytes = b"", kind: bytes = b"lpcm", shape: tuple[int, ...] = (2, 2, 1, 1, 16)) -> bytes:
    desc = struct.pack(">4sqd4s5I", b"desc", 32, rate_hz, kind, *shape)
    return b"caff\0\1\0\0" + desc + more + struct.pack(">4sqI", b"data", 32_004, 0) + bytes(32_000)


def _caf_packets(count: int) -> bytes:
    table = struct.pack(">4sqqqii", b"pakt", 24 + 1_000, count, count * 1_024, 0, 0) + b"\1" * 1_000
    return _caf(16_000.0, table, b"alac", (0, 0, 1_024, 1, 16))


def _w64(rate_hz: int) -> bytes:
    tail = bytes.fromhex("f3acd3118cd100c04f8edb8a")
    shape = struct.pack("<HHIIHH", 1, 1, rate_hz, (2 * rate_hz) & 0xFFFFFFFF, 2, 16)
    fmt, data = b"fmt " + tail + struct.pack("<Q", 40) + shape, b"data" + tail + struct.pack("<Q", 24 + 32_000) + bytes(32_000)
    whole = b"wave" + tail + fmt + data
    return b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000") + struct.pack("<Q", 24 + len(whole)) + whole


def _wav_of_chunks(count: int) -> bytes:
    content = wav()
    return content[:12] + struct.pack("<4sI", b"junk", 0) * count + content[12:]


# --- MP3 and its tags ---


def _mp3() -> bytes:
    return with_soundfile(tone(3.0), "MP3", "MPEG_LAYER_III")


def _vbr(mark: bytes, at: int, body: bytes) -> bytes:
    """A first frame that holds no sound, only what an encoder has to say of the file, and then sound."""
    frame = bytearray(b"\xff\xfb\xe0\xc4" + bytes(956))
    frame[4 + at : 4 + at + len(mark) + len(body)] = mark + body
    return bytes(frame[:960]) + _mp3()


def _id3(claimed: int, body: bytes = b"") -> bytes:
    size = bytes(claimed >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\4\0\0" + size + body


def _chapters(count: int) -> bytes:
    frames = b"".join(_chapter(n) for n in range(count))
    return _id3(len(frames), frames) + _mp3()


def _chapter(number: int) -> bytes:
    body = b"%04x\0" % number + _words(number, number + 1, _HUGE, _HUGE)
    return b"CHAP" + bytes([0, 0, 0, len(body)]) + bytes(2) + body


# --- others ---


def _avi(index: bytes, streams: int = 1, frames: int = 16_000) -> bytes:
    head = struct.pack("<14I", 0, 0, 0, 0x10, frames, 0, streams, 0, 0, 0, 0, 0, 0, 0)
    strh = struct.pack("<4s4sIIIIIIIIII8s", b"auds", b"", 0, 0, 0, 1, 16_000, 0, _HUGE, 0, 0, 2, b"")
    strf = struct.pack("<HHIIHHH", 1, 1, 16_000, 32_000, 2, 16, 0)
    stream = _chunk(b"LIST", b"strl" + _chunk(b"strh", strh) + _chunk(b"strf", strf) + index)
    movi = _chunk(b"LIST", b"movi" + _chunk(b"00wb", bytes(32_000)))
    index_1 = _chunk(b"idx1", struct.pack("<4sIII", b"00wb", 0x10, 4, 1) * (0 if index else 200_000))
    return _chunk(b"RIFF", b"AVI " + _chunk(b"LIST", b"hdrl" + _chunk(b"avih", head) + stream * streams) + movi + index_1)


def _super_index(count: int) -> bytes:
    entries = struct.pack("<QII", 1_000, 0x7FFFFFFF, 0x7FFFFFFF) * count
    return _avi(_chunk(b"indx", struct.pack("<HBBI4s3I", 4, 0, 0, 0x7FFFFFFF, b"00wb", 0, 0, 0) + entries))


def _asf(objects: int, inner_size: int) -> bytes:
    guid = bytes.fromhex("9107dcb7b7a9cf118ee600c00c205365")
    stream = guid + struct.pack("<Q", inner_size) + bytes(54)
    body = stream * objects
    head = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + struct.pack("<QIBB", 30 + len(body), objects, 1, 2)
    return head + body + bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c") + bytes(26) + bytes(4_000)


def _page(body: bytes, serial: int = 1, number: int = 0, kind: int = 2) -> bytes:
    lacing = bytes([255] * (len(body) // 255) + [len(body) % 255])
    head = struct.pack("<4sBBqIIIB", b"OggS", 0, kind, 0, serial, number, 0, len(lacing)) + lacing
    crc = 0
    for byte in head + body:
        crc = (crc << 8 & 0xFFFFFFFF) ^ _CRC[crc >> 24 ^ byte]
    return head[:22] + struct.pack("<I", crc) + head[26:] + body


def _crc_of(byte: int) -> int:
    value = byte << 24
    for _ in range(8):
        value = (value << 1 ^ 0x04C11DB7 if value & 0x80000000 else value << 1) & 0xFFFFFFFF
    return value


_CRC = [_crc_of(byte) for byte in range(256)]
_OPUS_HEAD = b"OpusHead\1\1\0\0\x80\xbb\0\0\0\0\0"


def _opus_comments(count: int, length: int) -> bytes:
    tags = b"OpusTags" + struct.pack("<I", 1) + b"x" + struct.pack("<II", count, length) + bytes(200)
    sound = b"".join(_page(b"\xf8\xff\xfe", number=n, kind=0) for n in range(2, 60))
    return _page(_OPUS_HEAD) + _page(tags, number=1, kind=0) + sound


def _flac(*blocks: tuple[int, int, bytes]) -> bytes:
    """A sound one with more blocks of metadata: type, claimed size, body."""
    content = with_soundfile(tone(), "FLAC", "PCM_16")
    more = b"".join(bytes([kind]) + claimed.to_bytes(3, "big") + body for kind, claimed, body in blocks)
    return content[:4] + b"\0" + content[5:42] + more + content[42:]


def _picture(claimed: int) -> bytes:
    return _words(3, 9) + b"image/png" + _words(0, 9, 9, 24, 0, claimed) + bytes(100)


def _ts_of(tracks: int) -> bytes:
    """A programme that lists as many elementary streams as fit, and a packet of each."""
    streams = b"".join(struct.pack(">BHH", 0x0F, 0xE000 | 0x100 + n, 0xF000) for n in range(min(tracks, 30)))
    programmes = _section(0, b"".join(struct.pack(">HH", n, 0xE000 | 0x20 + n) for n in range(1, 40)))
    tables = (_ts_packet(0x20 + n, b"\0" + _section(2, struct.pack(">HH", 0xE100, 0xF000) + streams, n)) for n in range(1, 40))
    frame = b"\0\0\1\xc0\0\0\x80\x80\5\x21\0\1\0\1\xff\xf1\x50\x40\x02\xff\xfc" + bytes(120)
    packets = (_ts_packet(0, b"\0" + programmes), *tables, *(_ts_packet(0x100 + n, frame) for n in range(tracks)))
    return b"".join(packets) * 8


def _section(table: int, body: bytes, number: int = 1) -> bytes:
    head = struct.pack(">BHHBBB", table, 0xB000 | len(body) + 9, number, 0xC1, 0, 0) + body
    crc = 0xFFFFFFFF
    for byte in head:
        crc = (crc << 8 & 0xFFFFFFFF) ^ _CRC[crc >> 24 ^ byte]
    return head + struct.pack(">I", crc)


def _ts_packet(pid: int, body: bytes) -> bytes:
    return (struct.pack(">BHB", 0x47, 0x4000 | pid, 0x10) + body).ljust(188, b"\xff")[:188]


def _flv_nested(depth: int) -> bytes:
    data = b"\2\0\nonMetaData" + b"\3\0\1a" * depth + b"\0\0\t" * depth
    tag = b"\x12" + len(data).to_bytes(3, "big") + bytes(7) + data
    return b"FLV\1\4\0\0\0\x09\0\0\0\0" + tag + len(tag).to_bytes(4, "big")


def _tta(samples: int) -> bytes:
    head = b"TTA1" + struct.pack("<HHHII", 1, 1, 16, 768_000, samples)
    return head + struct.pack("<I", zlib.crc32(head)) + _words(1) * 10_000


def _two_rates() -> bytes:
    """Every frame of sound has another rate than the one before it."""
    one, other = (with_av(tone(0.3), "adts", "aac", rate_hz) for rate_hz in (48_000, 16_000))
    return (
        one[: int.from_bytes(one[3:6], "big") >> 5 & 0x1FFF] + other[: int.from_bytes(other[3:6], "big") >> 5 & 0x1FFF]
    ) * 4_000


#: By what they attack.
HOSTILE: Mapping[str, Callable[[], bytes]] = {
    "mp4: 20 million samples of one size": partial(_constant_samples, 20 * MILLION),
    "mp4: as many samples as may be": partial(_constant_samples, 1_499_999),
    "mp4: stts of 4 billion entries": lambda: _mp4(_box(b"stts", _words(0, _HUGE, 1, 1))),
    "mp4: ctts of 200 million entries": lambda: _mp4(_box(b"ctts", _words(0, 200 * MILLION, 1, 1))),
    "mp4: ctts of a billion samples": lambda: _mp4(_box(b"ctts", _words(0, 1, 1_000 * MILLION, 7))),
    "mp4: stsc of 100 million entries": lambda: _mp4(_box(b"stsc", _words(0, 100 * MILLION, 1, _HUGE, 1))),
    "mp4: stsc of chunks of 4 billion samples": lambda: _mp4(_box(b"stsc", _words(0, 1, 1, _HUGE, 1))),
    "mp4: stco of 500 million entries": lambda: _mp4(_box(b"stco", _words(0, 500 * MILLION, 900))),
    "mp4: 250 edits of 200,000 samples": partial(_edits, 250, 200_000),
    "mp4: 2,000 edits of 9,999 samples": partial(_edits, 2_000, 9_999),
    "mp4: edits where nobody looks for them": partial(_edits, 250, 200_000, b"dinf"),
    "mp4: a fragment of 100 million samples": partial(_fragments, 1, 100 * MILLION),
    "mp4: 10,000 fragments of 149 samples": partial(_fragments, 10_000, 149),
    "mp4: sidx of 65,535 references": lambda: _FTYP + _box(b"sidx", _words(0, 1, 16_000, 0, 0, 0xFFFF), bytes(786_420)) * 5,
    "mp4: tables that are compressed": _compressed_tables,
    "mp4: 100,000 nested boxes": partial(_nested_boxes, b"trak", 100_000),
    "mp4: 20,000 nested boxes of another kind": partial(_nested_boxes, b"dinf", 20_000),
    "mp4: 300 tracks": lambda: _mp4(tracks=300),
    "mkv: Xiph lacing": partial(_laced, 1),
    "mkv: fixed lacing": partial(_laced, 2),
    "mkv: EBML lacing": partial(_laced, 3),
    "mkv: nested tags": partial(_nested_elements, 100_000),
    "mkv: tags of 2^55 bytes": lambda: _matroska(_element("1254c367", b"", size=(1 << 55)), _cluster(_block(bytes(3_200)))),
    "mkv: an attachment of 2 GB": lambda: _matroska(_element("1941a469", _element("61a7", _element("465c", b"", size=2 << 30)))),
    "mkv: 90,000 cues": partial(_cues, 90_000),
    "mkv: a gap of 3 h 59 min": partial(_gap, 14_340),
    "mkv: a gap of 10,000 h": partial(_gap, 36 * MILLION),
    "mkv: 400 tracks": lambda: _matroska(_cluster(_block(bytes(3_200))), tracks=400),
    "mkv: a language of 150 KB": lambda: _matroska(_cluster(_block(bytes(3_200))), language=b"x" * 150_000),
    "mkv: a language of 300 KB": lambda: _matroska(_cluster(_block(bytes(3_200))), language=b"x" * 300_000),
    "mkv: a packet of a year": lambda: _matroska(
        _cluster(_element("a0", _element("a1", b"\x81\0\0\0" + bytes(3_200)), _element("9b", _number(31_536_000_000))))
    ),
    "mkv: 4 GB, deflated": partial(_inflated, 400),
    "wav: 1 Hz, 4 h": lambda: wav_header(1, bits=8, claimed_bytes=14_400, data=bytes(14_400)),
    "wav: 0 Hz": lambda: wav_header(0, data=bytes(32_000)),
    "wav: 2^31 Hz": lambda: wav_header(1 << 31, data=bytes(32_000)),
    "wav: 65,535 channels": lambda: wav_header(channels=65_535, bits=8, data=bytes(32_000)),
    "wav: 400,000 chunks": partial(_wav_of_chunks, 400_000),
    "wav: floats whose square is none": partial(float_wav_with, 1e25),
    "aiff: NaN Hz": lambda: _aiff(b"\x7f\xff\xc0" + bytes(7)),
    "aiff: infinite Hz": lambda: _aiff(b"\x7f\xff\x80" + bytes(7)),
    "aiff: 1 Hz, 65,535 channels": lambda: _aiff(b"\x3f\xff\x80" + bytes(7), 65_535),
    "au: 1 Hz": partial(_au, 1),
    "au: 2^31 Hz": partial(_au, 1 << 31),
    "au: 65,535 channels": partial(_au, 16_000, 65_535),
    "caf: NaN Hz": partial(_caf, float("nan")),
    "caf: infinite Hz": partial(_caf, float("inf")),
    "caf: 1 Hz": partial(_caf, 1.0),
    "caf: 2^50 packets": partial(_caf_packets, 1 << 50),
    "caf: 100 million packets": partial(_caf_packets, 100 * MILLION),
    "w64: 2^32 - 1 Hz": partial(_w64, (1 << 32) - 1),
    "mp3: Xing of 4 billion frames": lambda: _vbr(b"Xing", 32, _words(7, _HUGE, _HUGE) + b"\xff" * 100),
    "mp3: VBRI with a table of 65,535 entries": lambda: _vbr(
        b"VBRI", 32, struct.pack(">HHHIIHHHH", 1, 0, 0, 9, _HUGE, 0xFFFF, 9, 4, 9)
    ),
    "mp3: a tag of 256 MB": lambda: _id3((1 << 28) - 1) + _mp3(),
    "mp3: 100,000 tags": lambda: _id3(0) * 100_000 + _mp3(),
    "mp3: 60,000 chapters": partial(_chapters, 60_000),
    "aac: two rates in turn": _two_rates,
    "avi: an index of 200,000 chunks": partial(_avi, b""),
    "avi: an index of indexes": partial(_super_index, 10_000),
    "avi: 300 streams": lambda: _avi(_chunk(b"junk", b""), 300),
    "avi: 2 billion frames": lambda: _avi(_chunk(b"junk", b""), frames=0x7FFFFFFF),
    "asf: 20,000 objects": partial(_asf, 20_000, 78),
    "asf: an object of 2^63 bytes": partial(_asf, 1, 1 << 63),
    "ogg: 4 billion comments": partial(_opus_comments, _HUGE, 0),
    "ogg: a comment of 4 GB": partial(_opus_comments, 1, _HUGE),
    "ogg: 1,000 streams": lambda: b"".join(_page(_OPUS_HEAD, n) for n in range(1, 1_000)) + _page(b"\xf8", number=1, kind=0),
    "flac: a picture of 4 GB": lambda: _flac((6, 141, _picture(_HUGE))),
    "flac: a seek table of 16 MB": lambda: _flac((3, 0xFFFFFF, b"")),
    "flac: 3,000 pictures": lambda: _flac(*[(6, 141, _picture(100))] * 3_000),
    "wav: 21,000 joined": lambda: wav_header(claimed_bytes=160, data=bytes(160)) * 21_000,
    "flac: 500 joined": lambda: with_soundfile(tone(0.1), "FLAC", "PCM_16") * 500,
    "ts: 400 streams": partial(_ts_of, 400),
    "flv: nested 100,000 deep": partial(_flv_nested, 100_000),
    "tta: 4 billion samples": partial(_tta, _HUGE),
    "junk: what may be frames, and is none": lambda: b"\xff\xfb\x90\x64\xff\xe0\x0b\x77" * 40_000,
}
