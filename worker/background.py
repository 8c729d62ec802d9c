"""How much background work (long files and their pieces, the batch lane) a worker takes at a time."""

from collections.abc import Iterable
from dataclasses import dataclass

from shared.stitching import WINDOW_MS

#: What a job counts at most: it is in the model a window at a time.
WINDOW_SECONDS = WINDOW_MS / 1000
#: Room for so many short jobs is left beside it.
ROOM_FOR_URGENT = 2
#: Full windows of background work on a CPU, where a call to the decoder takes the longer, the more words there are in it; short
#: audio that comes meanwhile has half of the processor until it ends. Measured with Whisper `base`, beam 5, 75 words a window,
#: one thread: 2.6 s for one window, then 2.2, 1.8, 1.8 and 1.8 s each for two, three, four and six. Three have all of the gain.
#: On a GPU a call takes hardly longer for more of them.
CPU_WINDOWS = 3


@dataclass(frozen=True, kw_only=True)
class BackgroundRoom:
    """How many more background jobs, and how much of their audio, each counted as a window at most."""

    jobs: int
    seconds: float


def room_beside(background_seconds: Iterable[float], batch_size: int, on_cpu: bool, is_for_long: bool) -> BackgroundRoom:
    """What fits beside background jobs of these lengths. A worker that is there for long audio keeps no room for short."""
    in_hand = [min(seconds, WINDOW_SECONDS) for seconds in background_seconds]
    most = batch_size if is_for_long else max(1, batch_size - ROOM_FOR_URGENT)
    windows = min(most, CPU_WINDOWS) if on_cpu else most
    return BackgroundRoom(jobs=most - len(in_hand), seconds=windows * WINDOW_SECONDS - sum(in_hand))
