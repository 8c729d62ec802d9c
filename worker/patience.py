"""How much of what nobody waits for a worker takes at a time: short audio that comes in meanwhile waits for it."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

#: For so long after short audio a worker takes one window of other audio at a time.
ATTENTIVE_SECONDS = 30.0
#: Else it leaves room for so many short jobs.
ROOM_FOR_URGENT = 2
#: What the model hears at a time.
WINDOW_SECONDS = 30
#: Windows of a CPU's call to the decoder. Measured with Whisper `base`, beam 5, 75 words a window, one thread: 2.6 s for one,
#: then 2.2, 1.8, 1.8 and 1.8 s each for two, three, four and six. Three have all of the gain and take 5.4 s, which is what one
#: piece takes alone from its samples to its words (2.4 s in the encoder, 2.6 s in the decoder).
CPU_WINDOWS = 3


@dataclass(frozen=True, kw_only=True)
class PatientRoom:
    """How many more jobs that nobody waits for, and how much of their audio, each counted as a window at most."""

    jobs: int
    seconds: float


class Patience:
    """Knows when short audio was last seen, and what the worker is there for."""

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._urgent_at = float("-inf")

    def urgent_came(self) -> None:
        """Short audio is about: more of it may follow."""
        self._urgent_at = time.monotonic()

    def room_beside(self, patient_seconds: Iterable[float], on_cpu: bool, is_for_long: bool) -> PatientRoom:
        """What fits beside jobs of these lengths. A worker that is there for long audio keeps no room for short audio."""
        in_hand = [min(seconds, WINDOW_SECONDS) for seconds in patient_seconds]
        most = self._batch_size if is_for_long else max(1, self._batch_size - ROOM_FOR_URGENT)
        windows = min(most, CPU_WINDOWS) if on_cpu else most
        if not is_for_long and time.monotonic() - self._urgent_at < ATTENTIVE_SECONDS:
            windows = 1
        return PatientRoom(jobs=most - len(in_hand), seconds=windows * WINDOW_SECONDS - sum(in_hand))
