"""The decoder beside a model process: a file's bytes go in, samples come out, and no native parser runs in here."""

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

#: Files that are decoded at the same time. Their decoders use a core each.
MOST_READERS = 4
#: How often somebody who waits for a decode looks whether it is still wanted.
LOOK_SECONDS = 0.25


class Decoder:
    """Readers of its own, kept ready. Safe for use from several threads."""

    def __init__(self) -> None:
        self._readers = Readers(max(1, min(MOST_READERS, usable_cores())), niceness=0, lanes_seconds=DECODE_LANES_SECONDS)

    def start(self) -> None:
        """Start the readers."""
        self._readers.start()

    def close(self) -> None:
        """End them."""
        self._readers.close()

    def decode(
        self, file: SharedFile, wanted: Wanted, expected_seconds: float, channels: int, check: Callable[[], None]
    ) -> Sounds:
        """All that is wanted of a file: samples of shape (channels, samples).

        `expected_seconds` and `channels`: what its probe has found.
        The file is closed. `check` is called while it waits, and raises to give it up. Raises the errors of audio, and
        `ReadersUnavailable`.
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
