"""Headers that are wrong: lengths that were never filled in, that are too long, or that belong to another file."""

import struct
from collections.abc import Callable

from tests.field_files.workshop import (
    INCOMPLETE,
    RATE_HZ,
    SAMPLE_BYTES,
    A,
    B,
    FieldFile,
    Timeline,
    as_known,
    pcm,
)

BELIEVES = "FFmpeg believes that there is nothing"
_SOUND = pcm("A")


def wav(
    claimed: int | None = None, *, bytes_per_second: int = RATE_HZ * SAMPLE_BYTES, chunks: bytes = b"", riff: bytes = b"RIFF"
) -> bytes:
    """Clip A behind a hand-made header, with `chunks` before the data."""
    size = len(_SOUND) if claimed is None else claimed
    shape = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE_HZ, bytes_per_second, SAMPLE_BYTES, 16)
    total = min(0xFFFFFFFF, 36 + len(chunks) + size)
    return riff + struct.pack("<I4s", total, b"WAVE") + shape + chunks + struct.pack("<4sI", b"data", size) + _SOUND


def _extensible() -> bytes:
    """A wav with the long `fmt ` of programs that support many channels."""
    subtype = struct.pack("<HHIH", 22, 16, 4, 1) + bytes.fromhex("000000001000800000aa00389b71")
    shape = struct.pack("<4sIHHIIHH", b"fmt ", 40, 0xFFFE, 1, RATE_HZ, 32_000, 2, 16) + subtype
    return b"RIFF" + struct.pack("<I4s", 60 + len(_SOUND), b"WAVE") + shape + struct.pack("<4sI", b"data", len(_SOUND)) + _SOUND


_HALF = len(_SOUND) // 2 & ~1
_WAVS: dict[str, bytes] = {
    "of length 0": wav(0),
    "of length 0xFFFFFFFF": wav(0xFFFFFFFF),
    "of length 0x80000000, as from a pipe": wav(0x80000000),
    "of length 0x7FFFFFFF": wav(0x7FFFFFFF),
    "that counts its header": wav(len(_SOUND) + 44),
    "with a wrong rate of bytes": wav(bytes_per_second=16_000),
    "with no rate of bytes": wav(bytes_per_second=0),
    "with an odd chunk before the data": wav(chunks=struct.pack("<4sI", b"LIST", 5) + b"INFO1\0"),
    "with a bext chunk of 5 KB": wav(chunks=struct.pack("<4sI", b"bext", 5_000) + bytes(5_000)),
    "with chunks behind the data": wav() + struct.pack("<4sI", b"LIST", 26) + b"INFOISFT\x0e\0\0\0Lavf62.0.100\0\0",
    "with the long fmt chunk": _extensible(),
    "with an odd byte at its end": wav() + b"\x01",
}


def wavs() -> list[FieldFile]:
    """Wavs with hand-made headers."""
    halved = FieldFile(
        name="a wav of which half is there",
        make=lambda _: wav()[: 44 + _HALF],
        timeline=Timeline(((0.0, "A"),), _HALF / SAMPLE_BYTES / RATE_HZ),
        suffix="wav",
        lost=6,
        warnings=INCOMPLETE,
    )
    made = [
        FieldFile(name=f"a wav {name}", make=lambda _, content=content: content, timeline=A, suffix="wav")  # type: ignore[misc]
        for name, content in _WAVS.items()
    ]
    return [*made, halved]


def wav_codecs() -> list[FieldFile]:
    """Every codec that people send in a wav."""
    codecs = {
        "24 bits": "pcm_s24le",
        "32 bits": "pcm_s32le",
        "float": "pcm_f32le",
        "double": "pcm_f64le",
        "mu-law": "pcm_mulaw",
        "A-law": "pcm_alaw",
        "Microsoft's ADPCM": "adpcm_ms",
        "IMA ADPCM": "adpcm_ima_wav",
        "mp3": "libmp3lame -ar 44100",
    }
    coarse = FieldFile(
        name="a wav of 8 bits", timeline=B, make=lambda shop: shop.made(B, "wav", "-c:a", "pcm_u8"), suffix="wav", lost=6
    )
    return [coarse, *(_made(f"a wav of {name}", "wav", f"-c:a {codec}") for name, codec in codecs.items())]


def _made(name: str, suffix: str, options: str) -> FieldFile:
    return FieldFile(name=name, timeline=B, make=lambda shop: shop.made(B, suffix, *options.split()), suffix=suffix)


def lengths() -> list[FieldFile]:
    """Lengths in other formats: too long, or not known when the header was written."""
    return [
        _lie("rf64", "an RF64 without a length", "wav", _rf64_without_length, truth=BELIEVES),
        _lie("rf64", "an RF64 that is called BW64", "wav", lambda c: b"BW64" + c[4:]),
        _lie("rf64", "an RF64 that promises twice as much", "wav", _rf64_doubled, INCOMPLETE),
        _lie("w64", "a w64 that promises twice as much", "w64", _w64_doubled, INCOMPLETE),
        _lie("aiff", "an AIFF that promises twice as much", "aiff", _aiff_doubled, INCOMPLETE),
        _lie("aiff", "an AIFF without a length", "aiff", _aiff_without_length, truth=BELIEVES),
        _lie("au", "an au without a length", "au", lambda c: c[:8] + b"\xff" * 4 + c[12:]),
        _lie("au", "an au that promises twice as much", "au", lambda c: c[:8] + _big(2 * (len(c) - 32)) + c[12:], INCOMPLETE),
        _lie("caf", "a caf without a length", "caf", lambda c: _caf(c, -1)),
        _lie("caf", "a caf that promises twice as much", "caf", lambda c: _caf(c, 2 * len(c)), INCOMPLETE),
        _lie("flac", "a flac without a length", "flac", lambda c: _flac(c, 0)),
        _lie("flac", "a flac that promises 60 s", "flac", lambda c: _flac(c, 60 * RATE_HZ), INCOMPLETE),
        _lie("flac", "a flac that promises 1 s", "flac", lambda c: _flac(c, RATE_HZ)),
        _lie("flv", "an flv whose length is 1 s", "flv", _flv_of_a_second),
        _lie("wavpack", "a WavPack without a length", "wv", lambda c: c[:12] + b"\xff" * 4 + c[16:]),
        _lie("mkv", "an mkv that was never closed", "mkv", _never_closed),
        _lie("webm", "a webm that was never closed, as browsers record it", "webm", _never_closed),
    ]


def _lie(
    recipe: str,
    name: str,
    suffix: str,
    surgery: Callable[[bytes], bytes],
    warnings: frozenset[str] = frozenset(),
    truth: str = "",
) -> FieldFile:
    return FieldFile(
        name=name,
        make=lambda shop: surgery(shop.encoded(recipe, B)),
        timeline=B,
        suffix=suffix,
        warnings=warnings,
        truth=truth,
        measure=as_known(B) if truth else None,
    )


def _big(number: int) -> bytes:
    return struct.pack(">I", number)


def _put(content: bytes, at: int, new: bytes) -> bytes:
    return content[:at] + new + content[at + len(new) :]


def _rf64_without_length(content: bytes) -> bytes:
    at = content.index(b"ds64") + 8
    return _put(content, at, bytes(24))


def _rf64_doubled(content: bytes) -> bytes:
    at = content.index(b"ds64") + 16
    return _put(content, at, struct.pack("<Q", 2 * struct.unpack_from("<Q", content, at)[0]))


def _w64_doubled(content: bytes) -> bytes:
    at = content.index(b"data\xf3\xac\xd3\x11") + 16
    return _put(content, at, struct.pack("<Q", 2 * struct.unpack_from("<Q", content, at)[0]))


def _aiff_doubled(content: bytes) -> bytes:
    sound, common = content.index(b"SSND"), content.index(b"COMM")
    frames = struct.unpack_from(">I", content, common + 10)[0]
    return _put(_put(content, sound + 4, _big(8 + 4 * frames)), common + 10, _big(2 * frames))


def _aiff_without_length(content: bytes) -> bytes:
    sound, common = content.index(b"SSND"), content.index(b"COMM")
    return _put(_put(content, sound + 4, bytes(4)), common + 10, bytes(4))


def _caf(content: bytes, size: int) -> bytes:
    return _put(content, content.index(b"data") + 4, struct.pack(">q", size))


def _flac(content: bytes, samples: int) -> bytes:
    """Set the number of samples: 36 bits from the low half of byte 21."""
    return _put(content, 21, bytes([content[21] & 0xF0 | samples >> 32]) + _big(samples & 0xFFFFFFFF))


def _flv_of_a_second(content: bytes) -> bytes:
    return _put(content, content.index(b"duration") + 9, struct.pack(">d", 1.0))


def _never_closed(content: bytes) -> bytes:
    """A Matroska file of unknown size and without a duration."""
    at = content.index(b"\x18\x53\x80\x67") + 4
    content = _put(content, at, b"\x01" + b"\xff" * 7)
    at = content.index(b"\x44\x89\x88")
    return _put(content, at, b"\xec\x89\x80" + bytes(8))
