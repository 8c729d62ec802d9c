"""How much background work (long files and their pieces, the batch lane) a worker takes at a time: short audio waits for it."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from shared.stitching import WINDOW_MS

#: What a job counts at most: it is in the model a window at a time.
WINDOW_SECONDS = WINDOW_MS / 1000
#: For so long after short audio a worker takes background work of one window at a time.
ATTENTIVE_SECONDS = 30.0
#: Else it leaves room for so many short jobs.
ROOM_FOR_URGENT = 2
#: Full windows of background work on a CPU, where a call to the decoder takes the longer, the more words there are in it.
#: Measured with Whisper `base`, beam 5, 75 words a window, one thread: 2.6 s for one window, then 2.2, 1.8, 1.8 and 1.8 s each
#: for two, three, four and six. Three have all of the gain and take 5.4 s, which is what one piece takes alone from its samples
#: to its words (2.4 s in the encoder, 2.6 s in the decoder). On a GPU a call takes hardly longer for more of them.
CPU_WINDOWS = 3


@dataclass(frozen=True, kw_only=True)
class BackgroundRoom:
    """How many more background jobs, and how much of their audio, each counted as a window at most."""

    jobs: int
    seconds: float


class BackgroundLimit:
    """Knows when short audio was last seen."""

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._urgent_at = float("-inf")

    def urgent_came(self) -> None:
        """Short audio is about: more of it may follow."""
        self._urgent_at = time.monotonic()

    def room_beside(self, background_seconds: Iterable[float], on_cpu: bool, is_for_long: bool) -> BackgroundRoom:
        """What fits beside background jobs of these lengths. A worker that is there for long audio keeps no room for short."""
        in_hand = [min(seconds, WINDOW_SECONDS) for seconds in background_seconds]
        most = self._batch_size if is_for_long else max(1, self._batch_size - ROOM_FOR_URGENT)
        windows = min(most, CPU_WINDOWS) if on_cpu else most
        if not is_for_long and time.monotonic() - self._urgent_at < ATTENTIVE_SECONDS:
            windows = 1
        return BackgroundRoom(jobs=most - len(in_hand), seconds=windows * WINDOW_SECONDS - sum(in_hand))
