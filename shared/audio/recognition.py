"""Which container the bytes are, told from the bytes alone: never from a file name or a declared type.

FFmpeg never guesses: its demuxer is forced to the container that is recognised here, so that no playlist, concat script or
manifest can make it open a file or an address.
"""

import re
from dataclasses import dataclass
from typing import NoReturn

from shared.audio import frames
from shared.audio.containers import Container
from shared.audio.content import Content
from shared.errors import EmptyAudio, NotAudio

#: How many bytes may stand before the first frame: tags that no program knows, or the end of a cut frame.
JUNK_BYTES = 64 * 1024

_MAGIC = (
    (b"fLaC", Container.FLAC),
    (b"OggS", Container.OGG),
    (b"\x1aE\xdf\xa3", Container.WEBM),
    (b"caff", Container.CAF),
    (b".snd", Container.AU),
    (b"#!AMR", Container.AMR),
    (b"0&\xb2u\x8ef\xcf\x11", Container.ASF),
    (b"FLV\x01", Container.FLV),
    (b"wvpk", Container.WAVPACK),
    (b"TTA1", Container.TTA),
    (b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00", Container.W64),
)
_FORMS = {b"WAVE": Container.WAV, b"AVI ": Container.AVI, b"AIFF": Container.AIFF, b"AIFC": Container.AIFF}
_RIFF = (b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM")
_MP4_BOXES = frozenset({b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"wide", b"free", b"skip", b"pnot", b"uuid", b"sidx"})
#: File headers that are searched for behind junk: only headers of more than four bytes, which junk does not contain by chance.
_BEHIND_JUNK = re.compile(
    rb"fLaC[\0\x80]\0\0\x22|OggS\0\x02|\x1aE\xdf\xa3|(?:RIFF|RF64|BW64|FORM)[\s\S]{4}(?:WAVE|AVI |AIF[FC])|#!AMR(?:-WB)?\n"
    rb"|\0\0\0[\x08-\xff]ftyp|0&\xb2u\x8ef\xcf\x11|FLV\x01[\0-\x05]\0\0\0\x09|TTA1\x01\0"
)
#: Where frames may begin: a sync word. Below: a transport stream packet, or a pack.
_SYNC = re.compile(rb"(?=\xff[\xe0-\xff]|\x0b\x77|\x7f\xfe\x80\x01|\x56[\xe0-\xff])")
_MULTIPLEX_SYNC = re.compile(rb"(?=\x47|\0\0\x01\xba)")
_TEXTS = (
    (b"<", "an HTML or XML page"),
    (b"{", "JSON"),
    (b"[", "JSON"),
    (b"#EXTM3U", "a playlist"),
    (b"ffconcat", "a playlist"),
)
_PRINTABLE = re.compile(rb"[\t\r\n\x20-\x7e\x80-\xff]*")
_MISTAKEN = (
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b\x08", "gzip-compressed"),
    (b"Rar!", "a rar archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"\x7fELF", "a program"),
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"GIF8", "an image"),
)


@dataclass(frozen=True, slots=True)
class Recognised:
    """A container, the byte at which it begins, and how many bytes of junk stand before it."""

    container: Container
    at: int = 0
    junk_bytes: int = 0


def recognise(content: Content) -> Recognised:
    """The container of the bytes, and where it begins. Raises `EmptyAudio` and `NotAudio`."""
    if not content:
        raise EmptyAudio("The audio is empty; send the bytes of an audio file.")
    known = _by_magic(content, 0)
    if known:
        return Recognised(known)
    if content[:3] == b"ID3":
        return _behind_id3(content)
    if looks_like(content):
        _refuse(content)
    found = frames.frames_at(content, 0, least=2)
    if found:
        return Recognised(found)
    if frames.gsm_at(content):
        return Recognised(Container.GSM)
    return _behind_junk(content[: JUNK_BYTES + (1 << 16)]) or _refuse(content)


def looks_like(content: Content) -> str | None:
    """What the bytes are if they are a kind of file that people send by mistake, such as "a PDF"; None otherwise."""
    head = content[:256]
    is_text = _PRINTABLE.fullmatch(head) is not None
    magics = (*_MISTAKEN, *_TEXTS) if is_text else _MISTAKEN
    return next((what for magic, what in magics if head.lstrip().startswith(magic)), None)


def id3_bytes(content: Content, start: int = 0) -> int:
    """Length of the ID3 tags at a place (some programs write several); 0 when there is none."""
    at = start
    for _ in range(8):
        # A length has seven bits per byte. A larger byte means that this is no tag, or a damaged one.
        if content[at : at + 3] != b"ID3" or len(content) < at + 10 or max(content[at + 6 : at + 10]) > 0x7F:
            break
        at += 10 + sum((byte & 0x7F) << shift for byte, shift in zip(content[at + 6 : at + 10], (21, 14, 7, 0), strict=True))
    return at - start


def begins_at(content: Content, at: int) -> bool:
    """Whether a file of any known container begins at this place."""
    return _by_magic(content, at) is not None


def tag_bytes(content: Content) -> int:
    """How many bytes are in ID3 and APE tags, wherever they stand."""
    total, at = 0, content.find(b"ID3")
    while at >= 0:
        size = id3_bytes(content, at)
        total += size
        at = content.find(b"ID3", at + max(3, size))
    ape = content.rfind(b"APETAGEX")
    if ape >= 0:
        size = int.from_bytes(content[ape + 12 : ape + 16], "little")
        total += size if size < len(content) else 0
    return total


def _by_magic(content: Content, at: int) -> Container | None:
    head = content[at : at + 24]
    for magic, container in _MAGIC:
        if head.startswith(magic):
            return container
    if head[:4] in _RIFF and head[8:12] in _FORMS:
        return _FORMS[head[8:12]]
    if len(head) < 12 and head.startswith((b"RIFF", b"RF64")):
        return Container.WAV
    if head[4:8] in _MP4_BOXES and head[:1] == b"\0":
        return Container.MP4
    if frames.transport_stream_at(content, at) or frames.transport_stream_at(content, at + 4):
        return Container.MPEG_TS
    return Container.MPEG_PS if frames.program_stream_at(content, at) else None


def _behind_id3(content: Content) -> Recognised:
    """Recognise what follows ID3 tags: mp3, now and then flac, aac and others. A tag may state more bytes than there are."""
    size = id3_bytes(content)
    if size < len(content):
        known = _by_magic(content, size) or frames.frames_at(content, size, least=1)
        if known:
            # FFmpeg's mp3 demuxer reads the tag itself. The other demuxers get the bytes behind it.
            return Recognised(known, 0 if known is Container.MP3 else size)
        behind = _behind_junk(content[size : size + JUNK_BYTES + (1 << 16)])
        if behind:
            return Recognised(behind.container, size + behind.at, behind.at)
    return Recognised(Container.MP3)


def _behind_junk(head: bytes) -> Recognised | None:
    """The first place within `JUNK_BYTES` where a known format begins."""
    magic = _BEHIND_JUNK.search(head, 0, JUNK_BYTES + 16)
    limit = magic.start() if magic else JUNK_BYTES
    # Multiplexes first: they carry frames, too.
    for pattern, kind_at in ((_MULTIPLEX_SYNC, frames.multiplex_at), (_SYNC, frames.frames_at)):
        found = ((sync.start(), kind_at(head, sync.start())) for sync in pattern.finditer(head, 0, limit))
        at, kind = next((one for one in found if one[1]), (0, None))
        if kind:
            # LATM frames need settings from the first frame, which may be among what looks like junk. FFmpeg finds its way.
            return Recognised(kind, 0 if kind is Container.LATM else at, at)
    known = _by_magic(head, magic.start()) if magic else None
    return Recognised(known, magic.start(), magic.start()) if known and magic else None


def _refuse(content: Content) -> NoReturn:
    what = looks_like(content)
    looks = f" (it looks like {what})" if what else ""
    raise NotAudio(
        f"The content is no audio we know{looks}; send wav, flac, ogg, opus, mp3, m4a, aac or webm, or say what raw PCM is "
        "by encoding and sample_rate."
    )
