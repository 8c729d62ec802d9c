"""Formats are recognised from the bytes alone, also behind junk, and never guessed."""

import random

import pytest

from shared.audio.containers import Container
from shared.audio.links import links
from shared.audio.mp4_tables import check_tables
from shared.audio.recognition import JUNK_BYTES, recognise
from shared.errors import EmptyAudio, MalformedAudio, NotAudio
from tests.audio_files import FORMATS, tone

MP3, AAC, FLAC, OGG = (FORMATS[name](tone()) for name in ("mp3", "aac", "flac", "ogg opus"))


@pytest.mark.parametrize(
    ("content", "container"),
    [(MP3, Container.MP3), (AAC, Container.AAC), (FLAC, Container.FLAC), (OGG, Container.OGG)],
)
@pytest.mark.parametrize("junk", [b"", bytes(417), b"\xff" * 5_000, random.Random(1).randbytes(60_000)])
def test_a_file_is_known_behind_junk(content: bytes, container: Container, junk: bytes) -> None:
    found = recognise(junk + content)
    assert found.container is container
    # A frame that begins in the junk by chance may be included; no part of the file is left out.
    assert found.at <= len(junk)


def test_junk_has_an_end() -> None:
    with pytest.raises(NotAudio):
        recognise(bytes(JUNK_BYTES + 2_000) + MP3)


@pytest.mark.parametrize(
    "content",
    [b"<html>" * 60 + MP3, b'{"a": 1}', b"%PDF-1.7" + MP3, b"PK\x03\x04" + FLAC, b"#EXTM3U\nfile:///etc", b"ffconcat version",
     bytes(4_000), bytes(range(256)) * 300, b"just some words, " * 500, random.Random(2).randbytes(100_000)],
)  # fmt: skip
def test_what_is_no_audio_is_refused(content: bytes) -> None:
    with pytest.raises(NotAudio):
        recognise(content)


def test_nothing_is_nothing() -> None:
    with pytest.raises(EmptyAudio):
        recognise(b"")


def test_joined_files_are_links() -> None:
    assert [(link.start, link.end) for link in links(FLAC + FLAC, Container.FLAC, 0)] == [
        (0, len(FLAC)),
        (len(FLAC), 2 * len(FLAC)),
    ]
    assert len(links(OGG + OGG + OGG, Container.OGG, 0)) == 3
    assert len(links(OGG, Container.OGG, 0)) == 1


def box(kind: bytes, body: bytes) -> bytes:
    return (8 + len(body)).to_bytes(4, "big") + kind + body


def numbers(*values: int) -> bytes:
    return b"".join(value.to_bytes(4, "big") for value in values)


def mp4(*tables: bytes, edits: int = 1) -> bytes:
    edit_list = box(b"edts", box(b"elst", numbers(0, edits)))
    media = box(b"mdia", box(b"minf", box(b"stbl", b"".join(tables))))
    return box(b"ftyp", b"M4A ") + box(b"moov", box(b"trak", edit_list + media))


@pytest.mark.parametrize(
    "content",
    [
        mp4(box(b"stsz", numbers(0, 32, 20_000_000))),
        mp4(box(b"stsz", numbers(0, 32, 200_000)), edits=250),
        box(b"moof", box(b"traf", box(b"trun", numbers(0, 0xFFFFFFFF)))),
        b"".join([(4096).to_bytes(4, "big") + b"moov"] * 12) + bytes(4096),
    ],
)
def test_tables_that_cannot_be_are_refused(content: bytes) -> None:
    with pytest.raises(MalformedAudio):
        check_tables(content, 0, len(content))


def test_tables_of_four_hours_are_fine() -> None:
    content = mp4(box(b"stsz", numbers(0, 0, 720_000)), edits=3)
    check_tables(content, 0, len(content))
    pcm = mp4(box(b"stts", numbers(0, 1, 691_200_000, 1)), box(b"stsz", numbers(0, 2, 691_200_000)))
    check_tables(pcm, 0, len(pcm))
