"""Decodes a file's bytes into samples. Readers beside the model process run the native parsers; none runs in this process."""

import time
from collections.abc import Callable
from contextlib import closing
from math import ceil

import numpy as np

from shared.audio.plain import decode_plain
from shared.audio.request import SAMPLE_RATE_HZ, Wanted
from shared.audio.walls.decodes import Decode, Sounds, rows_for
from shared.audio.walls.readers import Readers
from shared.audio.walls.schedule import DECODE_LANES_SECONDS
from shared.audio.walls.shared_memory import SharedFile
from shared.audio.wav import PlainWav, plain_wav
from shared.cpu import usable_cores
from shared.errors import ReadersUnavailable

#: Most files that are decoded at the same time. The reader of each uses one core.
MOST_READERS = 4
#: How often a thread that waits for its samples checks whether the job is still wanted.
LOOK_SECONDS = 0.25


class Decoder:
    """Keeps its own readers ready. Safe for use from several threads."""

    def __init__(self) -> None:
        self._readers = Readers(max(1, min(MOST_READERS, usable_cores())), niceness=0, lanes_seconds=DECODE_LANES_SECONDS)

    def start(self) -> None:
        """Start the readers."""
        self._readers.start()

    def close(self) -> None:
        """End the readers."""
        self._readers.close()

    def decode(
        self, file: SharedFile, wanted: Wanted, expected_seconds: float, channels: int, check: Callable[[], None]
    ) -> Sounds:
        """Decode the wanted track and channels of a file into samples of shape (channels, samples). Closes the file.

        `expected_seconds` and `channels`: what the file's probe has found. `check` is called while the reader works, and raises
        to give the decode up. Raises a `FleetError` for audio that cannot be read, and `ReadersUnavailable`.
        """
        plain = plain_wav(file.mapped())
        if plain is not None and _is_simple(plain, wanted):
            return _decode_here(file, plain, wanted)
        with closing(Decode(self._readers, file, wanted, expected_seconds, channels)) as decode:
            give_up_at = time.monotonic() + decode.longest_seconds
            while (sounds := decode.wait(LOOK_SECONDS)) is None:
                check()
                if time.monotonic() > give_up_at:
                    raise ReadersUnavailable("The audio could not be read in time; try again.")
            return sounds


def _is_simple(plain: PlainWav, wanted: Wanted) -> bool:
    return plain.is_usual and not wanted.enhance and wanted.track in (None, 1)


def _decode_here(file: SharedFile, plain: PlainWav, wanted: Wanted) -> Sounds:
    seconds = min(plain.seconds, wanted.max_seconds + 1)
    buffer = np.zeros((rows_for(wanted, plain.channels), ceil(seconds * SAMPLE_RATE_HZ) + 1), np.float32)
    with closing(file):
        decoded = decode_plain(file.mapped(), plain, wanted, buffer)
    return Sounds(buffer[: decoded.rows, : decoded.samples], decoded)
