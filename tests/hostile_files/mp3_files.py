"""MP3 and its tags."""

from tests.audio_files import tone, with_soundfile
from tests.hostile_files.mp4_files import words

HUGE = 0xFFFF_FFF0


def mp3() -> bytes:
    return with_soundfile(tone(3.0), "MP3", "MPEG_LAYER_III")


def vbr(mark: bytes, at: int, body: bytes) -> bytes:
    """An mp3 whose first frame holds no sound, only the encoder's tag about the file."""
    frame = bytearray(b"\xff\xfb\xe0\xc4" + bytes(956))
    frame[4 + at : 4 + at + len(mark) + len(body)] = mark + body
    return bytes(frame[:960]) + mp3()


def id3(claimed: int, body: bytes = b"") -> bytes:
    size = bytes(claimed >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\4\0\0" + size + body


def chapters(count: int) -> bytes:
    frames = b"".join(chapter(n) for n in range(count))
    return id3(len(frames), frames) + mp3()


def chapter(number: int) -> bytes:
    body = b"%04x\0" % number + words(number, number + 1, HUGE, HUGE)
    return b"CHAP" + bytes([0, 0, 0, len(body)]) + bytes(2) + body
