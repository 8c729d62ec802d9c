"""Streams of frames that have no file header: recognised by frames that lead to one another.

Each `*_bytes` function gives the length of the frame at a place, 0 when none begins there. Sources: ISO 11172-3 and 13818-3 (MPEG
audio), ISO 13818-7 (ADTS), ISO 14496-3 (LOAS), ATSC A/52 (AC-3), ETSI TS 102 114 (DTS), GSM 06.10, ISO 13818-1 (transport and
program streams).
"""

from collections.abc import Callable, Sequence

from shared.audio.containers import Container
from shared.audio.content import Content

#: This many frames in a row are no accident, wherever they begin.
SURE_FRAMES = 4
TS_PACKET_SIZES, SURE_TS_PACKETS = (188, 192, 204), 5
_GSM_FRAME_BYTES = 33
#: A GSM frame begins with four fixed bits, which prove little in a single frame.
_SURE_GSM_FRAMES = 25

_KBPS_1 = {
    1: (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    2: (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    3: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
_KBPS_2 = {
    1: (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    3: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_AAC_RATES_HZ = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350)
_AC3_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)


def mpeg_audio_bytes(content: Content, at: int) -> int:
    """MPEG audio, layers I to III."""
    head = content[at : at + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return 0
    version, layer, bitrate, rate = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3), head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3:
        return 0
    bits_per_second = (_KBPS_1 if version == 3 else _KBPS_2)[layer][bitrate - 1] * 1000
    rate_hz = (44_100, 48_000, 32_000)[rate] >> {3: 0, 2: 1, 0: 2}[version]
    padding = head[2] >> 1 & 1
    if layer == 1:
        return (12 * bits_per_second // rate_hz + padding) * 4
    return (72 if layer == 3 and version != 3 else 144) * bits_per_second // rate_hz + padding


def adts_bytes(content: Content, at: int) -> int:
    """AAC with an ADTS header."""
    head = content[at : at + 6]
    if len(head) < 6 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or head[2] >> 2 & 15 > 12:
        return 0
    length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return length if length >= 7 else 0


def adts_seconds(frame: bytes) -> float:
    """How long an ADTS frame lasts, by its own sample rate; 0.0 when there is no such frame."""
    if not adts_bytes(frame, 0) or len(frame) < 7:
        return 0.0
    blocks = (frame[6] & 3) + 1
    return 1024 * blocks / _AAC_RATES_HZ[frame[2] >> 2 & 15]


def loas_bytes(content: Content, at: int) -> int:
    """AAC in a LOAS frame."""
    head = content[at : at + 3]
    if len(head) < 3 or head[0] != 0x56 or head[1] & 0xE0 != 0xE0:
        return 0
    return 3 + ((head[1] & 0x1F) << 8 | head[2])


def ac3_bytes(content: Content, at: int) -> int:
    """AC-3."""
    head = content[at : at + 6]
    if len(head) < 6 or head[:2] != b"\x0b\x77" or head[5] >> 3 > 10:
        return 0
    rate, size = head[4] >> 6, head[4] & 0x3F
    if rate == 3 or size >= 38:
        return 0
    kbps = _AC3_KBPS[size >> 1]
    return (4 * kbps, 2 * (320 * kbps // 147 + (size & 1)), 6 * kbps)[rate]


def eac3_bytes(content: Content, at: int) -> int:
    """E-AC-3."""
    head = content[at : at + 6]
    if len(head) < 6 or head[:2] != b"\x0b\x77" or not 10 < head[5] >> 3 <= 16:
        return 0
    return 2 * (((head[2] & 7) << 8 | head[3]) + 1)


def dts_bytes(content: Content, at: int) -> int:
    """DTS core, 16-bit big-endian, which is the form outside of wav files."""
    head = content[at : at + 8]
    if len(head) < 8 or head[:4] != b"\x7f\xfe\x80\x01":
        return 0
    length = ((head[5] & 3) << 12 | head[6] << 4 | head[7] >> 4) + 1
    return length if length >= 96 else 0


def gsm_bytes(content: Content, at: int) -> int:
    """GSM 06.10."""
    return _GSM_FRAME_BYTES if at < len(content) and content[at] >> 4 == 0xD else 0


#: Each kind of frame: its length function, and a mask of the header bits that stay the same within a stream.
_KINDS: Sequence[tuple[Container, Callable[[Content, int], int], bytes]] = (
    (Container.AAC, adts_bytes, b"\xff\xf6"),
    (Container.MP3, mpeg_audio_bytes, b"\xff\xfe"),
    (Container.AC3, ac3_bytes, b"\xff\xff"),
    (Container.EAC3, eac3_bytes, b"\xff\xff"),
    (Container.DTS, dts_bytes, b"\xff\xff\xff\xff"),
    (Container.LATM, loas_bytes, b"\xff\xe0"),
)


def frames_at(content: Content, at: int, least: int = SURE_FRAMES) -> Container | None:
    """The kind of frames that begin here: `least` in a row, or one fewer if the last one reaches the end of the content."""
    for kind, length_at, mask in _KINDS:
        if _leads_on(content, at, length_at, mask, least):
            return kind
    return None


def _leads_on(content: Content, at: int, length_at: Callable[[Content, int], int], mask: bytes, least: int) -> bool:
    first = content[at : at + len(mask)]
    for number in range(1, least + 1):
        length = length_at(content, at)
        head = content[at : at + len(mask)]
        if not length or any((one ^ other) & bits for one, other, bits in zip(head, first, mask, strict=True)):
            return False
        at += length
        # The last frame may be cut short, so it need not be followed by another one.
        if at >= len(content):
            return number >= least - 1
    return True


def gsm_at(content: Content) -> bool:
    """Whether this is raw GSM: from the very start, GSM frames for half a second or to the end of the content."""
    count = min(_SURE_GSM_FRAMES, len(content) // _GSM_FRAME_BYTES)
    return count >= 5 and all(gsm_bytes(content, number * _GSM_FRAME_BYTES) for number in range(count))


def multiplex_at(content: Content, at: int) -> Container | None:
    """The kind of multiplex, a transport or program stream, that begins here."""
    if transport_stream_at(content, at, least=SURE_TS_PACKETS):
        return Container.MPEG_TS
    return Container.MPEG_PS if program_stream_at(content, at) else None


def transport_stream_at(content: Content, at: int, least: int = 3) -> bool:
    """Whether at least `least` sync bytes follow each other at the distance of transport stream packets."""
    for size in TS_PACKET_SIZES:
        places = range(at, min(len(content), at + SURE_TS_PACKETS * size), size)
        if len(places) >= least and all(content[place] == 0x47 for place in places):
            return True
    return False


def program_stream_at(content: Content, at: int) -> bool:
    """Whether a pack header begins here, followed by a system header or a packet."""
    if content[at : at + 4] != b"\0\0\1\xba" or len(content) < at + 14:
        return False
    is_mpeg_2 = content[at + 4] >> 6 == 1
    behind = at + (14 + (content[at + 13] & 7) if is_mpeg_2 else 12)
    return content[behind : behind + 3] == b"\0\0\1"
