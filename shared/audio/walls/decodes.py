"""A decode behind the wall: the file goes in, the sound comes back in shared memory."""

import mmap
from dataclasses import dataclass

import numpy as np

from shared.audio.report import Decoded
from shared.audio.request import MAX_CHANNELS, Channels, Wanted
from shared.audio.sound import Samples
from shared.audio.walls.readers import Readers, complain

#: A decode may find a little more than a probe, which counts packets: so much more there is room for.
SPARE_SECONDS, SPARE_SHARE = 3.0, 0.02


@dataclass(frozen=True)
class Sounds:
    """A decoded file: samples of shape (channels, samples), float32 at 16 kHz, and what there is to say about them."""

    samples: Samples
    decoded: Decoded


class Decode:
    """A decode under way."""

    def __init__(self, readers: Readers, content: bytes, wanted: Wanted, expected_seconds: float) -> None:
        """`expected_seconds`: what a probe has found. The reader stops not far beyond it."""
        seconds = min(expected_seconds * (1 + SPARE_SHARE) + SPARE_SECONDS, wanted.max_seconds + 1)
        self._readers = readers
        self._reading = readers.decode(content, wanted, seconds, rows_for(wanted))

    def wait(self, timeout_seconds: float) -> Sounds | None:
        """The sound; None when it is not there in time. Raises the errors of audio, `HarmfulAudio` and `ReadersUnavailable`."""
        try:
            told = self._reading.result.result(timeout_seconds)
        except TimeoutError:
            return None
        try:
            complain(told)
            assert told.decoded is not None
            order, decoded = self._reading.order, told.decoded
            shared = mmap.mmap(self._reading.files[0], 4 * order.rows * order.capacity)
        finally:
            self._reading.close()
        whole = np.frombuffer(shared, np.float32).reshape(order.rows, order.capacity)
        return Sounds(whole[: decoded.rows, : decoded.samples], decoded)

    def withdraw(self) -> None:
        """Nobody wants it any more: its reader is ended."""
        self._readers.withdraw(self._reading)


def rows_for(wanted: Wanted) -> int:
    """How many channels a buffer must have."""
    return MAX_CHANNELS if wanted.channels is Channels.SPLIT else 1
