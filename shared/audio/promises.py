"""How long a file says it is. What is there of it is another matter."""

import av.container
from av.audio.stream import AudioStream

from shared.audio.containers import Container
from shared.audio.content import Content
from shared.audio.frames import mpeg_audio_bytes
from shared.audio.recognition import id3_bytes
from shared.audio.wav import promised_wav_seconds

#: Where FFmpeg has a track's length from the header; and where it has the length of all tracks from there.
_PROMISES_BY_TRACK = frozenset(
    {Container.MP4, Container.FLAC, Container.AIFF, Container.W64, Container.CAF, Container.AU, Container.TTA, Container.WAVPACK}
)
PROMISES_AS_FILE = frozenset({Container.ASF, Container.AVI})


def promised_seconds(
    content: Content, start: int, container: Container, source: av.container.InputContainer, stream: AudioStream
) -> float | None:
    """What the headers of the programme at `start` state for its sound, in seconds; None where they state nothing.

    FFmpeg guesses where a header is silent, from the rate of bits or from what it has seen: such numbers are no promise.
    """
    if container is Container.WAV:
        return promised_wav_seconds(content, start)
    if container is Container.MP3:
        return _xing_seconds(content, start)
    if container in _PROMISES_BY_TRACK and stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if container in PROMISES_AS_FILE and source.duration:
        return source.duration / av.time_base
    return None


def _xing_seconds(content: Content, start: int) -> float | None:
    """The length that an encoder of mp3 wrote into the first frame (the Xing or Info tag)."""
    head = content[start + id3_bytes(content) :][: 1 << 12] if start == 0 else content[start : start + (1 << 12)]
    at = max(head.find(mark, 0, 64) for mark in (b"Xing", b"Info"))
    if at < 0 or not mpeg_audio_bytes(head, 0) or not head[at + 7] & 1:
        return None
    is_first, low = head[1] >> 3 & 3 == 3, head[1] >> 3 & 3
    rate_hz = (44_100, 48_000, 32_000)[head[2] >> 2 & 3] >> {3: 0, 2: 1, 0: 2}[low]
    return int.from_bytes(head[at + 8 : at + 12], "big") * (1152 if is_first else 576) / rate_hz
