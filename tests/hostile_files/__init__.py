"""Files made to break or exhaust their reader: small ones that promise or hide something large. All are made here."""

import os
import struct
from collections.abc import Callable, Mapping
from functools import partial

from tests.audio_files import float_wav_with, tone, wav_header, with_soundfile
from tests.hostile_files.matroska_files import (
    block,
    cluster,
    cues,
    element,
    gap,
    inflated,
    laced,
    matroska,
    nested_elements,
    number,
)
from tests.hostile_files.mp3_files import chapters, id3, mp3, vbr
from tests.hostile_files.mp4_files import (
    FTYP,
    box,
    compressed_tables,
    constant_samples,
    edits,
    fragments,
    mp4,
    nested_boxes,
    words,
)
from tests.hostile_files.other_files import (
    OPUS_HEAD,
    asf,
    avi,
    flac,
    flv_nested,
    opus_comments,
    page,
    picture,
    super_index,
    ts_of,
    tta,
    two_rates,
)
from tests.hostile_files.rates import aiff, au, caf, caf_packets, chunk, w64, wav_of_chunks

MILLION = 1_000_000
HUGE = 0xFFFF_FFF0


def varied(content: bytes) -> bytes:
    """The same file with another hash: eight bytes are added at the end, which no reader minds."""
    return content + b"\0\0" + os.urandom(6)


#: Hostile files by the form of their attack.
HOSTILE: Mapping[str, Callable[[], bytes]] = {
    "mp4: 20 million samples of one size": partial(constant_samples, 20 * MILLION),
    "mp4: as many samples as may be": partial(constant_samples, 1_499_999),
    "mp4: stts of 4 billion entries": lambda: mp4(box(b"stts", words(0, HUGE, 1, 1))),
    "mp4: ctts of 200 million entries": lambda: mp4(box(b"ctts", words(0, 200 * MILLION, 1, 1))),
    "mp4: ctts of a billion samples": lambda: mp4(box(b"ctts", words(0, 1, 1_000 * MILLION, 7))),
    "mp4: stsc of 100 million entries": lambda: mp4(box(b"stsc", words(0, 100 * MILLION, 1, HUGE, 1))),
    "mp4: stsc of chunks of 4 billion samples": lambda: mp4(box(b"stsc", words(0, 1, 1, HUGE, 1))),
    "mp4: stco of 500 million entries": lambda: mp4(box(b"stco", words(0, 500 * MILLION, 900))),
    "mp4: 250 edits of 200,000 samples": partial(edits, 250, 200_000),
    "mp4: 2,000 edits of 9,999 samples": partial(edits, 2_000, 9_999),
    "mp4: edits where nobody looks for them": partial(edits, 250, 200_000, b"dinf"),
    "mp4: a fragment of 100 million samples": partial(fragments, 1, 100 * MILLION),
    "mp4: 10,000 fragments of 149 samples": partial(fragments, 10_000, 149),
    "mp4: sidx of 65,535 references": lambda: FTYP + box(b"sidx", words(0, 1, 16_000, 0, 0, 0xFFFF), bytes(786_420)) * 5,
    "mp4: tables that are compressed": compressed_tables,
    "mp4: 100,000 nested boxes": partial(nested_boxes, b"trak", 100_000),
    "mp4: 20,000 nested boxes of another kind": partial(nested_boxes, b"dinf", 20_000),
    "mp4: 300 tracks": lambda: mp4(tracks=300),
    "mkv: Xiph lacing": partial(laced, 1),
    "mkv: fixed lacing": partial(laced, 2),
    "mkv: EBML lacing": partial(laced, 3),
    "mkv: nested tags": partial(nested_elements, 100_000),
    "mkv: tags of 2^55 bytes": lambda: matroska(element("1254c367", b"", size=(1 << 55)), cluster(block(bytes(3_200)))),
    "mkv: an attachment of 2 GB": lambda: matroska(element("1941a469", element("61a7", element("465c", b"", size=2 << 30)))),
    "mkv: 90,000 cues": partial(cues, 90_000),
    "mkv: a gap of 3 h 59 min": partial(gap, 14_340),
    "mkv: a gap of 10,000 h": partial(gap, 36 * MILLION),
    "mkv: 400 tracks": lambda: matroska(cluster(block(bytes(3_200))), tracks=400),
    "mkv: a language of 150 KB": lambda: matroska(cluster(block(bytes(3_200))), language=b"x" * 150_000),
    "mkv: a language of 300 KB": lambda: matroska(cluster(block(bytes(3_200))), language=b"x" * 300_000),
    "mkv: a packet of a year": lambda: matroska(
        cluster(element("a0", element("a1", b"\x81\0\0\0" + bytes(3_200)), element("9b", number(31_536_000_000))))
    ),
    "mkv: 4 GB, deflated": partial(inflated, 400),
    "wav: 1 Hz, 4 h": lambda: wav_header(1, bits=8, claimed_bytes=14_400, data=bytes(14_400)),
    "wav: 0 Hz": lambda: wav_header(0, data=bytes(32_000)),
    "wav: 2^31 Hz": lambda: wav_header(1 << 31, data=bytes(32_000)),
    "wav: 65,535 channels": lambda: wav_header(channels=65_535, bits=8, data=bytes(32_000)),
    "wav: 400,000 chunks": partial(wav_of_chunks, 400_000),
    "wav: floats whose square is none": partial(float_wav_with, 1e25),
    "aiff: NaN Hz": lambda: aiff(b"\x7f\xff\xc0" + bytes(7)),
    "aiff: infinite Hz": lambda: aiff(b"\x7f\xff\x80" + bytes(7)),
    "aiff: 1 Hz, 65,535 channels": lambda: aiff(b"\x3f\xff\x80" + bytes(7), 65_535),
    "au: 1 Hz": partial(au, 1),
    "au: 2^31 Hz": partial(au, 1 << 31),
    "au: 65,535 channels": partial(au, 16_000, 65_535),
    "caf: NaN Hz": partial(caf, float("nan")),
    "caf: infinite Hz": partial(caf, float("inf")),
    "caf: 1 Hz": partial(caf, 1.0),
    "caf: 2^50 packets": partial(caf_packets, 1 << 50),
    "caf: 100 million packets": partial(caf_packets, 100 * MILLION),
    "w64: 2^32 - 1 Hz": partial(w64, (1 << 32) - 1),
    "mp3: Xing of 4 billion frames": lambda: vbr(b"Xing", 32, words(7, HUGE, HUGE) + b"\xff" * 100),
    "mp3: VBRI with a table of 65,535 entries": lambda: vbr(
        b"VBRI", 32, struct.pack(">HHHIIHHHH", 1, 0, 0, 9, HUGE, 0xFFFF, 9, 4, 9)
    ),
    "mp3: a tag of 256 MB": lambda: id3((1 << 28) - 1) + mp3(),
    "mp3: 100,000 tags": lambda: id3(0) * 100_000 + mp3(),
    "mp3: 60,000 chapters": partial(chapters, 60_000),
    "aac: two rates in turn": two_rates,
    "avi: an index of 200,000 chunks": partial(avi, b""),
    "avi: an index of indexes": partial(super_index, 10_000),
    "avi: 300 streams": lambda: avi(chunk(b"junk", b""), 300),
    "avi: 2 billion frames": lambda: avi(chunk(b"junk", b""), frames=0x7FFFFFFF),
    "asf: 20,000 objects": partial(asf, 20_000, 78),
    "asf: an object of 2^63 bytes": partial(asf, 1, 1 << 63),
    "ogg: 4 billion comments": partial(opus_comments, HUGE, 0),
    "ogg: a comment of 4 GB": partial(opus_comments, 1, HUGE),
    "ogg: 1,000 streams": lambda: b"".join(page(OPUS_HEAD, n) for n in range(1, 1_000)) + page(b"\xf8", number=1, kind=0),
    "flac: a picture of 4 GB": lambda: flac((6, 141, picture(HUGE))),
    "flac: a seek table of 16 MB": lambda: flac((3, 0xFFFFFF, b"")),
    "flac: 3,000 pictures": lambda: flac(*[(6, 141, picture(100))] * 3_000),
    "wav: 21,000 joined": lambda: wav_header(claimed_bytes=160, data=bytes(160)) * 21_000,
    "flac: 500 joined": lambda: with_soundfile(tone(0.1), "FLAC", "PCM_16") * 500,
    "ts: 400 streams": partial(ts_of, 400),
    "flv: nested 100,000 deep": partial(flv_nested, 100_000),
    "tta: 4 billion samples": partial(tta, HUGE),
    "junk: what may be frames, and is none": lambda: b"\xff\xfb\x90\x64\xff\xe0\x0b\x77" * 40_000,
}
