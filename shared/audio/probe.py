"""How long a file is, and what is in it. Only for processes behind a wall (`shared.audio.walls`)."""

from shared.audio.content import Content
from shared.audio.demuxing import Reading
from shared.audio.findings import info_of
from shared.audio.report import AudioInfo


def probe(content: Content, *, track: int | None, max_seconds: float) -> AudioInfo:
    """What a decode will hear, without decoding: the packets are read, and their times.

    Raises `EmptyAudio`, `NotAudio`, `MalformedAudio`, `UnsupportedAudio`, and `AudioTooLong` as soon as it is longer than that.
    """
    reading = Reading(content, track, max_seconds)
    for _ in reading.packets():
        pass
    return info_of(reading.container, reading.heard, track is not None)
