"""Several files in one: joined byte by byte, chained Ogg, flags and tags that are wrong about where the file ends."""

import struct
from collections.abc import Callable, Sequence

from tests.field_files.workshop import (
    AB,
    INCOMPLETE,
    JOINED,
    JOINED_OF_THREE,
    NARROW,
    PAUSE_SECONDS,
    RECIPES,
    A,
    B,
    C,
    FieldFile,
    Timeline,
    Workshop,
    ending,
)

ENDS_WITH_THE_FIRST = "FFmpeg ends with the first of them, or mistakes the second's header for frames"
BEGINS_ITS_FILTER_ANEW = "FFmpeg begins its filters anew where the shape changes, and loses the time"


#: Recipes that behave like another one of their format, which is tested.
_LIKE_OTHERS = frozenset({"mp3 without a tag", "alac", "m2ts", "vob", "3gp"})


def joined() -> list[FieldFile]:
    """`cat a b`: two files of one kind."""
    return [_in_a_row(f"two {recipe} joined", recipe, (A, B), JOINED) for recipe in RECIPES if recipe not in _LIKE_OTHERS]


def joined_of_three() -> list[FieldFile]:
    """Three clips in a row, as a player writes its list to a disk."""
    recipes = ("mp3", "flac", "ogg opus")
    return [_in_a_row(f"three {recipe} joined", recipe, (A, B, C), JOINED_OF_THREE) for recipe in recipes]


def _in_a_row(name: str, recipe: str, timelines: Sequence[Timeline], whole: Timeline) -> FieldFile:
    def parts(shop: Workshop) -> list[bytes]:
        return [shop.encoded(recipe, timeline) for timeline in timelines]

    goes_on = recipe == "mp3"

    def measure(shop: Workshop) -> bytes:
        # FFmpeg's WMA decoder is 40 ms late in each part.
        return whole.wav() if recipe == "asf" else shop.reference_of_parts(parts(shop), ending(recipe))

    return FieldFile(
        name=name,
        make=lambda shop: b"".join(parts(shop)),
        timeline=whole,
        suffix=ending(recipe),
        measure=None if goes_on else measure,
        truth="" if goes_on else ENDS_WITH_THE_FIRST,
        lost=8 if recipe in NARROW else 0,
        is_narrow=recipe in NARROW,
    )


#: Options of the first and of the second part: rate, channels or both change.
_OTHER_SHAPES = {
    "mp3, 44.1 kHz mono then 48 kHz stereo": (
        "mp3",
        "-ar 44100 -ac 1 -b:a 64k -write_xing 0 -id3v2_version 0",
        "-ar 48000 -ac 2 -b:a 96k -write_xing 0 -id3v2_version 0",
    ),
    "mp3, mono then stereo": ("mp3", "-ar 44100 -ac 1 -b:a 64k -write_xing 0", "-ar 44100 -ac 2 -b:a 96k -write_xing 0"),
    "mp3, 44.1 kHz then 16 kHz": ("mp3", "-ar 44100 -b:a 64k", "-ar 16000 -b:a 32k"),
    "mp2, 48 kHz stereo then 32 kHz mono": ("mp2", "-ar 48000 -ac 2 -b:a 128k", "-ar 32000 -ac 1 -b:a 64k"),
    "aac, 16 kHz mono then 44.1 kHz stereo": ("aac", "-f adts -ar 16000 -ac 1", "-f adts -ar 44100 -ac 2"),
    "ac3, 48 kHz mono then 44.1 kHz stereo": ("ac3", "-ar 48000 -ac 1 -b:a 96k", "-ar 44100 -ac 2 -b:a 128k"),
    "flac, 16 kHz then 44.1 kHz stereo": ("flac", "-ar 16000", "-ar 44100 -ac 2"),
    "wav, 16 bits then float at 48 kHz": ("wav", "-c:a pcm_s16le", "-c:a pcm_f32le -ar 48000 -ac 2"),
    "ts, 16 kHz mono then 44.1 kHz stereo": ("ts", "-c:a aac -ar 16000 -ac 1", "-c:a aac -ar 44100 -ac 2"),
    "chained opus, mono then stereo": ("ogg", "-c:a libopus -ac 1", "-c:a libopus -ac 2"),
    "chained vorbis, 16 kHz then 44.1 kHz stereo": ("ogg", "-c:a libvorbis -ar 16000", "-c:a libvorbis -ar 44100 -ac 2"),
    "chained flac, 16 kHz then 44.1 kHz stereo": ("ogg", "-c:a flac -ar 16000", "-c:a flac -ar 44100 -ac 2"),
    "chained ogg, opus then vorbis": ("ogg", "-c:a libopus", "-c:a libvorbis"),
    "chained ogg, vorbis then flac": ("ogg", "-c:a libvorbis -ar 44100", "-c:a flac"),
}


def of_other_shape() -> list[FieldFile]:
    """Parts joined that differ in rate, channels or codec."""
    return [_changing(name, *options) for name, options in _OTHER_SHAPES.items()]


def _changing(name: str, suffix: str, first: str, second: str) -> FieldFile:
    def parts(shop: Workshop) -> list[bytes]:
        return [shop.made(A, suffix, *first.split()), shop.made(B, suffix, *second.split())]

    return FieldFile(
        name=name,
        make=lambda shop: b"".join(parts(shop)),
        timeline=JOINED,
        suffix=suffix,
        measure=lambda shop: shop.reference_of_parts(parts(shop), suffix),
        truth=BEGINS_ITS_FILTER_ANEW,
    )


def lying() -> list[FieldFile]:
    """Flags and tags that give a wrong end."""
    tags = {
        "an mp3 whose Xing tag promises 1 s": (1.0, frozenset[str]()),
        "an mp3 whose Xing tag promises 60 s": (60.0, INCOMPLETE),
    }
    return [
        *(
            FieldFile(
                name=name,
                make=lambda shop, seconds=seconds: with_xing(shop.encoded("mp3", JOINED_OF_THREE), seconds),  # type: ignore[misc]
                timeline=JOINED_OF_THREE,
                suffix="mp3",
                warnings=warnings,
            )
            for name, (seconds, warnings) in tags.items()
        ),
        *(
            FieldFile(
                name=f"an end flag in the middle of {recipe}",
                make=lambda shop, recipe=recipe: _with_end_flag(shop.encoded(recipe, JOINED_OF_THREE)),  # type: ignore[misc]
                timeline=JOINED_OF_THREE,
                suffix="ogg",
            )
            for recipe in ("ogg opus", "ogg vorbis", "ogg flac")
        ),
    ]


def with_xing(content: bytes, seconds: float) -> bytes:
    """An mp3 whose Xing tag promises this length. (Written for 24 kHz: 576 samples per frame.)"""
    at = max(content.find(b"Xing"), content.find(b"Info"))
    assert at > 0 and content[at + 7] & 1
    return content[: at + 8] + struct.pack(">I", round(seconds * 24_000 / 576)) + content[at + 12 :]


def pages_of(content: bytes) -> list[bytes]:
    """The pages of an Ogg file."""
    pages, at = [], 0
    while at < len(content):
        segments = content[at + 26]
        end = at + 27 + segments + sum(content[at + 27 : at + 27 + segments])
        pages.append(content[at:end])
        at = end
    return pages


def crc_of(page: bytes) -> int:
    """The checksum of an Ogg page, computed while its own field is zero (RFC 3533, section 6)."""
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc


def _with_end_flag(content: bytes) -> bytes:
    """An end flag in the middle, as a recorder writes when it was paused."""
    pages = pages_of(content)
    page = bytearray(pages[len(pages) // 2])
    page[5] |= 4
    page[22:26] = bytes(4)
    page[22:26] = struct.pack("<I", crc_of(bytes(page)))
    return b"".join([*pages[: len(pages) // 2], bytes(page), *pages[len(pages) // 2 + 1 :]])


def lost_pages() -> list[FieldFile]:
    """Ogg pages that never arrived, or have a wrong checksum: their sound becomes silence."""
    surgeries: dict[str, Callable[[bytes], bytes]] = {
        "lost": lambda _: b"",
        "damaged": lambda page: page[:-9] + bytes(8) + page[-1:],
    }
    return [
        FieldFile(
            name=f"a page {what} in the middle of {recipe}",
            make=lambda shop, r=recipe, s=surgery: _operated(shop.encoded(r), s),  # type: ignore[misc]
            suffix="ogg",
            warnings=INCOMPLETE if what == "lost" else frozenset(),
            may_warn=INCOMPLETE,
        )
        for recipe in ("ogg opus", "ogg vorbis", "ogg flac")
        for what, surgery in surgeries.items()
    ]


def _operated(content: bytes, surgery: Callable[[bytes], bytes]) -> bytes:
    """Change one page, which is in the pause."""
    pages = pages_of(content)
    ends = [struct.unpack_from("<q", page, 6)[0] for page in pages]
    middle = next(number for number, end in enumerate(ends) if end >= ends[-1] * (PAUSE_SECONDS + 0.2) / AB.end)
    return b"".join([*pages[:middle], surgery(pages[middle]), *pages[middle + 1 :]])
