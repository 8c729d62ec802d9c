"""How much work a worker takes at a time: of urgent jobs (short audio that somebody waits for), and of background ones.

Background work is long files, their pieces, and the batch lane. On a GPU a call takes hardly longer for more of either kind. On a
CPU it does, and what comes out together comes out late: there a worker takes no more than gain by sharing their calls.

Measured with Whisper `base`, int8, beam 5, one thread; seconds each for so many at a time:

- clips of 3 s, full window: 1, 2 and 8 the same within 7 %, 4 in another run 3 to 10 % more than 8: the encoder takes most of it;
- clips of 3 s, adaptive window: 1.28, 1.16, 1.11, 1.02 and 1 for 1, 2, 3, 4 and 8 times the last;
- windows with 75 words: 2.6, 2.2, 1.8, 1.8 and 1.8 s in the decoder for 1, 2, 3, 4 and 6.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.transcripts.pieces import WINDOW_MS

#: What a job counts at most: it is in the model a window at a time.
WINDOW_SECONDS = WINDOW_MS / 1000
#: Room for so many urgent jobs is left beside background work.
ROOM_FOR_URGENT = 2
#: On a CPU: so many urgent jobs at a time, whoever else could have them; with full windows no more.
CPU_URGENT = 4
#: On a CPU: windows of background work, and so many jobs of it whoever else could have them.
CPU_WINDOWS, CPU_BACKGROUND = 3, 2


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What a worker is, for this purpose. `is_for_long`: long audio is what it is there for."""

    on_cpu: bool
    full_window: bool
    is_for_long: bool
    batch_size: int


@dataclass(frozen=True, kw_only=True)
class Room:
    """How many more jobs, and how much more background audio, each job of it counted as a window at most.

    `few`: so many at a time decode almost as cheaply as more. A worker takes more of them only if others have their part, too.
    """

    urgent: int
    urgent_few: int
    background: int
    background_few: int
    background_seconds: float


def room_beside(urgent: int, background_seconds: Sequence[float], kind: Kind) -> Room:
    """What fits beside so many urgent jobs, and background ones of these lengths.

    A worker that is there for long audio keeps no room for short.
    """
    in_hand = [min(seconds, WINDOW_SECONDS) for seconds in background_seconds]
    most_urgent = min(kind.batch_size, CPU_URGENT) if kind.on_cpu and kind.full_window else kind.batch_size
    most = kind.batch_size if kind.is_for_long else max(1, kind.batch_size - ROOM_FOR_URGENT)
    windows = min(most, CPU_WINDOWS) if kind.on_cpu else most
    return Room(
        urgent=max(0, most_urgent - urgent),
        urgent_few=CPU_URGENT if kind.on_cpu else kind.batch_size,
        background=most - len(in_hand),
        background_few=CPU_BACKGROUND if kind.on_cpu else kind.batch_size,
        background_seconds=windows * WINDOW_SECONDS - sum(in_hand),
    )
