"""Which container some bytes are, told from the bytes alone: never from a file name or a declared type."""

from enum import Enum
from typing import NoReturn

from shared.errors import EmptyAudio, NotAudio


class Container(str, Enum):
    """A file format that carries audio (and maybe video)."""

    WAV = "wav"
    FLAC = "flac"
    OGG = "ogg"
    MP3 = "mp3"
    MP4 = "mp4"
    AAC = "aac"
    WEBM = "webm"
    AIFF = "aiff"
    CAF = "caf"
    AU = "au"
    AMR = "amr"
    ASF = "asf"
    AVI = "avi"


_MAGIC = (
    (b"fLaC", Container.FLAC),
    (b"OggS", Container.OGG),
    (b"\x1aE\xdf\xa3", Container.WEBM),
    (b"caff", Container.CAF),
    (b".snd", Container.AU),
    (b"#!AMR", Container.AMR),
    (b"0&\xb2u\x8ef\xcf\x11", Container.ASF),
)
_FORMS = {b"WAVE": Container.WAV, b"AVI ": Container.AVI, b"AIFF": Container.AIFF, b"AIFC": Container.AIFF}
_MP4_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"})
_MISTAKEN = (
    (b"<", "an HTML or XML page"),
    (b"{", "JSON"),
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "gzip-compressed"),
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"GIF8", "an image"),
    (b"#EXTM3U", "a playlist"),
)


def sniff(content: bytes) -> Container:
    """The container, from the first bytes. Raises `EmptyAudio` and `NotAudio`."""
    if not content:
        raise EmptyAudio("The audio is empty; send the bytes of an audio file.")
    head = content[:16]
    for magic, container in _MAGIC:
        if head.startswith(magic):
            return container
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"FORM") and head[8:12] in _FORMS:
        return _FORMS[head[8:12]]
    if len(head) < 12 and head.startswith((b"RIFF", b"RF64")):
        return Container.WAV
    if head[4:8] in _MP4_BOXES and head[:1] == b"\0":
        return Container.MP4
    if head.startswith(b"ID3"):
        return _behind_id3(content)
    return _frames_at(content, 0) or _refuse(content)


def id3_bytes(content: bytes) -> int:
    """Length of the ID3 tag at the start; 0 when there is none."""
    if not content.startswith(b"ID3"):
        return 0
    return 10 + sum((byte & 0x7F) << shift for byte, shift in zip(content[6:10], (21, 14, 7, 0), strict=False))


def _behind_id3(content: bytes) -> Container:
    """ID3 tags stand before mp3, and now and then before flac and aac."""
    size = id3_bytes(content)
    if content[size : size + 4] == b"fLaC":
        return Container.FLAC
    return _frames_at(content, size) or Container.MP3


def _frames_at(content: bytes, at: int) -> Container | None:
    """MPEG audio has no file header: believe it when one frame's length leads to the next frame (or the end)."""
    head = content[at : at + 6]
    if len(head) < 6 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    if head[1] & 0xF6 == 0xF0:
        length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
        kind, mask = Container.AAC, 0xF6
    else:
        length, kind, mask = _mpeg_frame_bytes(head), Container.MP3, 0xFE
    following = content[at + length : at + length + 2]
    if length < 7 or len(following) == 1 or (following and (following[0] != 0xFF or (following[1] ^ head[1]) & mask)):
        return None
    return kind


def _mpeg_frame_bytes(head: bytes) -> int:
    """Length of an MPEG layer III frame; 0 when this is no such frame."""
    version, layer, bitrate, rate = head[1] >> 3 & 3, head[1] >> 1 & 3, head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer != 1 or bitrate in (0, 15) or rate == 3:
        return 0
    first = version == 3
    kbps = ((32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320) if first
            else (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160))[bitrate - 1]  # fmt: skip
    rate_hz = (44_100, 48_000, 32_000)[rate] >> {3: 0, 2: 1, 0: 2}[version]
    return (144 if first else 72) * kbps * 1000 // rate_hz + (head[2] >> 1 & 1)


def _refuse(content: bytes) -> NoReturn:
    head = content[:256].lstrip()
    looks = next((f" (it looks like {what})" for magic, what in _MISTAKEN if head.startswith(magic)), "")
    raise NotAudio(f"The content is no audio we know{looks}; send wav, flac, ogg, opus, mp3, m4a, aac or webm.")
