"""A decode behind the wall: the file goes in, the sound comes back in shared memory."""

from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass

import numpy as np

from shared.audio.report import Decoded
from shared.audio.request import MAX_CHANNELS, SAMPLE_RATE_HZ, Channels, Wanted
from shared.audio.sound import Samples
from shared.audio.walls.readers import MOST_TRIES, Readers, complain
from shared.audio.walls.shared_memory import SharedBuffer, SharedFile

#: A decode may find a little more sound than a probe, which counts packets: the buffer has this much spare room.
SPARE_SECONDS, SPARE_SHARE = 3.0, 0.02
#: How long a decode may wait for orders before it.
WAITING_SECONDS = 600.0


@dataclass(frozen=True)
class Sounds:
    """A decoded file: samples of shape (channels, samples), float32 at 16 kHz, and the report on them."""

    samples: Samples
    decoded: Decoded


class Decode:
    """A decode under way."""

    def __init__(self, readers: Readers, file: SharedFile, wanted: Wanted, expected_seconds: float, channels: int) -> None:
        """`expected_seconds` and `channels` are the probe's results. The reader stops not far beyond `expected_seconds`.

        The readers own `file` from now on.
        """
        seconds = min(expected_seconds * (1 + SPARE_SHARE) + SPARE_SECONDS, wanted.max_seconds + 1)
        self._readers = readers
        self._buffer = SharedBuffer(rows_for(wanted, channels), int(seconds * SAMPLE_RATE_HZ))
        self._errand = readers.decode(file, wanted, seconds, self._buffer)

    @property
    def longest_seconds(self) -> float:
        """After this time there will be no sound: every try has had its full time."""
        return MOST_TRIES * self._errand.order.limits.wall_seconds + WAITING_SECONDS

    def wait(self, timeout_seconds: float) -> Sounds | None:
        """The sound; None when it is not ready in time. Raises the errors of audio, `HarmfulAudio` and `ReadersUnavailable`."""
        try:
            told = self._errand.result.result(timeout_seconds)
        except FutureTimeoutError:
            return None
        complain(told)
        assert told.decoded is not None
        rows, samples = told.decoded.rows, told.decoded.samples
        whole = np.frombuffer(self._buffer.mapped(), np.float32).reshape(self._buffer.rows, self._buffer.capacity)
        return Sounds(whole[:rows, :samples], told.decoded)

    def close(self) -> None:
        """Give the decode up: if it is still under way, its reader is ended. Sound that was already returned stays valid."""
        self._readers.withdraw(self._errand)
        self._buffer.close()


def rows_for(wanted: Wanted, channels: int) -> int:
    """How many rows a buffer needs for a file with this number of channels (0: unknown)."""
    return min(channels or MAX_CHANNELS, MAX_CHANNELS) if wanted.channels is Channels.SPLIT else 1
