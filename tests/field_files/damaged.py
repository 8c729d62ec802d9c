"""Files that are whole, cut short, damaged in the middle, entered in the middle, or that begin with something else."""

import random
from collections.abc import Callable

from tests.field_files.workshop import (
    AB,
    INCOMPLETE,
    KEPT,
    NARROW,
    PAUSE_SECONDS,
    RECIPES,
    B,
    FieldFile,
    Make,
    Timeline,
    ending,
    place,
    seconds_of,
)

Surgery = Callable[[bytes], bytes]
#: Options for FFmpeg: raw GSM has no header that names its format.
GSM = ("-f", "gsm", "-ar", "8000")


def plain() -> list[FieldFile]:
    """Every kind of file, undamaged."""
    kept = [_of(f"plain {recipe}", recipe, lambda content: content) for recipe in KEPT]
    return [*kept, *(_plain(recipe) for recipe in RECIPES), *_raw_pcm()]


def _plain(recipe: str) -> FieldFile:
    is_narrow = recipe in NARROW
    return FieldFile(
        name=f"plain {recipe}",
        make=lambda shop: shop.encoded(recipe, B),
        timeline=B,
        suffix=ending(recipe),
        lost=5 if is_narrow else 0,
        is_narrow=is_narrow,
    )


def _raw_pcm() -> list[FieldFile]:
    """Samples without a header: the caller states the encoding."""
    kinds = {
        "s16le": ("-ar 16000 -f s16le", "-f s16le -ar 16000", "encoding=s16le&sample_rate=16000"),
        "s16le of two channels": (
            "-ar 44100 -ac 2 -f s16le",
            "-f s16le -ar 44100 -ch_layout stereo",
            "encoding=s16le&sample_rate=44100&channel_count=2",
        ),
        "f32le": ("-ar 22050 -f f32le", "-f f32le -ar 22050", "encoding=f32le&sample_rate=22050"),
        "mu-law": ("-f mulaw", "-f mulaw -ar 16000", "encoding=mulaw&sample_rate=16000"),
        "A-law": ("-f alaw", "-f alaw -ar 16000", "encoding=alaw&sample_rate=16000"),
    }
    return [
        FieldFile(
            name=f"raw PCM, {name}",
            make=_made("raw", *options.split()),
            timeline=B,
            suffix="raw",
            query=query,
            read_as=tuple(read_as.split()),
        )
        for name, (options, read_as, query) in kinds.items()
    ]


def _made(suffix: str, *options: str, timeline: Timeline = B) -> Make:
    return lambda shop: shop.made(timeline, suffix, *options)


#: Formats whose headers state the length, so that missing sound is noticed.
_PROMISE = frozenset("wav rf64 w64 flac mp3 m4a alac 3gp aiff caf au asf avi wavpack tta".split()) | {"3gp of amr"}
#: Formats whose index stands at the end: nothing can be read when the end is cut off.
_NEED_THEIR_END = frozenset({"mov"})


#: Recipes that behave like another one of their format, which is tested.
_LIKE_OTHERS = frozenset({"mp3 without a tag", "ogg flac", "m2ts", "vob", "rf64", "3gp"})


def truncated() -> list[FieldFile]:
    """The upload broke off in the pause, in the middle of a frame."""
    return [
        _of(
            f"truncated {recipe}",
            recipe,
            lambda content: content[: place(content, PAUSE_SECONDS) + 21],
            Timeline(((0.0, "A"),), PAUSE_SECONDS),
            warnings=INCOMPLETE if recipe in _PROMISE else frozenset(),
            may_warn=INCOMPLETE,
        )
        for recipe in [*RECIPES, *KEPT]
        if recipe not in _NEED_THEIR_END | _LIKE_OTHERS
    ]


#: Formats with frames that can be damaged: in PCM, any sample is valid.
_FRAMED = (
    "flac|ogg opus|ogg vorbis|mp3|mp2|m4a|3gp of amr|aac|latm|webm|mkv|gsm|asf|avi|flv|ts|mpg|ac3|eac3|dts|wavpack|tta"
).split("|")


#: How many words may be lost: FFmpeg does not find its way back, or frames are so long that a word goes with them.
_LOSING = {"zeros in the middle of wavpack": 8, "zeros in the middle of tta": 2, "other bytes in the middle of flv": 8}


def overwritten() -> list[FieldFile]:
    """0.3 s in the pause are zeros, or other bytes."""
    ways = {
        "zeros in the middle of": (_FRAMED, _overwrite(zeros=True)),
        "other bytes in the middle of": (_RESTLESS, _overwrite(zeros=False)),
        "silenced frames in the middle of": (("amr", "3gp of amr"), _silence_amr),
    }
    named = [(f"{way} {recipe}", recipe, surgery) for way, (recipes, surgery) in ways.items() for recipe in recipes]
    return [_of(name, recipe, surgery, may_warn=INCOMPLETE, lost=_LOSING.get(name, 0)) for name, recipe, surgery in named]


_RESTLESS = ("flac", "ogg opus", "mp3", "aac", "ts", "mpg", "webm", "flv")


def _silence_amr(content: bytes) -> bytes:
    """Zero the content of fifteen frames. Their first bytes, which state their length, stay."""
    begin = place(content, PAUSE_SECONDS)
    middle = b"".join(content[at : at + 1] + bytes(31) for at in range(begin, begin + 15 * 32, 32))
    return content[:begin] + middle + content[begin + len(middle) :]


def _overwrite(*, zeros: bool) -> Surgery:
    def surgery(content: bytes) -> bytes:
        begin, end = place(content, PAUSE_SECONDS), place(content, PAUSE_SECONDS + 0.3)
        size = end - begin
        return content[:begin] + (bytes(size) if zeros else random.Random(1).randbytes(size)) + content[end:]

    return surgery


def entered() -> list[FieldFile]:
    """Recorded from a broadcast: the file begins in the pause, in the middle of a frame."""
    recipes = ("mp3", "mp3 without a tag", "mp2", "aac", "latm", "ac3", "eac3", "dts", "ts", "m2ts", "mpg")
    timeline = Timeline(((seconds_of("A") + 1.0 - _ENTERED_SECONDS, "B"),))
    within = [_of(f"entered in the middle of {recipe}", recipe, _enter, timeline, may_warn=INCOMPLETE) for recipe in recipes]
    vob = FieldFile(
        name="entered in the middle of vob",
        make=lambda shop: _enter(shop.encoded("vob")),
        timeline=timeline,
        suffix="vob",
        measure=lambda shop: shop.reference(_from_first_pack(_enter(shop.encoded("vob"))), "vob"),
        truth="FFmpeg takes the AC-3 before the first pack for something else",
        may_warn=INCOMPLETE,
    )
    return [*within, vob]


_ENTERED_SECONDS = 2.9


def _enter(content: bytes) -> bytes:
    return content[place(content, _ENTERED_SECONDS) + 37 :]


def _from_first_pack(content: bytes) -> bytes:
    return content[content.index(b"\0\0\x01\xba") :]


def junk() -> list[FieldFile]:
    """Other bytes before the first frame."""
    kinds: list[tuple[str, bytes, str]] = [
        ("417 zeros", bytes(417), "mp3|aac|flac"),
        (
            "5 KB of anything",
            random.Random(2).randbytes(5_000),
            "mp3|mp2|aac|flac|ogg opus|wav|ts|mpg|ac3|eac3|dts|latm|m4a|webm",
        ),
        ("60 KB of anything", random.Random(3).randbytes(60_000), "mp3|mp2|aac|flac|ogg opus|wav|ts|ac3"),
        ("60 KB of zeros", bytes(60_000), "mp3|aac|flac|wav|ts|ac3|m4a"),
    ]
    return [_behind(what, before, recipe) for what, before, recipes in kinds for recipe in recipes.split("|")]


def _behind(what: str, before: bytes, recipe: str) -> FieldFile:
    return FieldFile(
        name=f"{what} before {recipe}",
        make=lambda shop: before + shop.encoded(recipe, B),
        timeline=B,
        suffix=ending(recipe),
        measure=lambda shop: shop.reference(shop.encoded(recipe, B), ending(recipe)),
        truth="FFmpeg loses frames, or the format, behind so much of something else",
        # These bytes may have been sound.
        may_warn=INCOMPLETE,
    )


def _of(
    name: str,
    recipe: str,
    surgery: Surgery,
    timeline: Timeline = AB,
    *,
    lost: int = 0,
    warnings: frozenset[str] = frozenset(),
    may_warn: frozenset[str] = frozenset(),
    read_as: tuple[str, ...] = (),
) -> FieldFile:
    """A file of two clips, changed by `surgery`."""
    is_narrow = recipe in NARROW
    return FieldFile(
        name=name,
        make=lambda shop: surgery(shop.encoded(recipe)),
        timeline=timeline,
        suffix=ending(recipe),
        lost=max(lost, 8 if is_narrow else 0),
        is_narrow=is_narrow,
        warnings=warnings,
        may_warn=may_warn,
        read_as=GSM if recipe == "gsm" else read_as,
    )
