"""The length of a file, and its tracks. Only for processes behind a wall (`shared.audio.walls`)."""

from collections.abc import Callable

import numpy as np

from shared.audio.content import Content
from shared.audio.findings import info_of
from shared.audio.programme import Placed
from shared.audio.reading import Reading
from shared.audio.report import AudioInfo
from shared.audio.request import LOUDEST_SAMPLE
from shared.audio.source import samples_of
from shared.audio.walls.limits import EARNING_PACKETS
from shared.errors import UnsupportedAudio


def probe(content: Content, *, track: int | None, max_seconds: float, on_packets: Callable[[], None] = lambda: None) -> AudioInfo:
    """Predicts what a decode will give, without decoding: reads the packets and their times.

    `on_packets` is called after every `EARNING_PACKETS` packets. Raises `EmptyAudio`, `NotAudio`, `MalformedAudio`,
    `UnsupportedAudio`, and `AudioTooLong` as soon as `max_seconds` are exceeded.
    """
    reading = Reading(content, track, max_seconds)
    for number, placed in enumerate(reading.packets(), start=1):
        if number % EARNING_PACKETS == 0:
            on_packets()
        if reading.is_of_floats:
            _check_numbers(placed)
    return info_of(reading.container, reading.heard, track is not None)


def _check_numbers(placed: Placed) -> None:
    """Check the values of float samples. They are cheap to decode and may be NaN; so the caller learns of it at submit."""
    for frame in placed.packet.decode():
        if not (np.abs(samples_of(frame)) <= LOUDEST_SAMPLE).all():
            raise UnsupportedAudio("Some samples are no finite numbers, or absurdly large ones; export the audio again.")
