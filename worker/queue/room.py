"""How much work a worker takes at a time: urgent jobs (short audio that a caller waits for), and background jobs.

Background jobs are long files, their pieces, and the batch lane. On a GPU a call with more jobs, of either kind, takes hardly
longer. On a CPU it takes longer, and all jobs of a call end late, together: there a worker takes only as many jobs as gain from
sharing their calls.

Measured with Whisper `base`, int8, beam 5, one thread. Time per clip or window when several are decoded at a time:

- clips of 3 s, full window: the same within 7 % for 1, 2 and 8 at a time; in another run, 4 at a time took 3 to 10 % more than
  8. The encoder takes most of the time;
- clips of 3 s, adaptive window: 1.28, 1.16, 1.11, 1.02 and 1 for 1, 2, 3, 4 and 8 at a time, relative to 8;
- windows with 75 words: 2.6, 2.2, 1.8, 1.8 and 1.8 s in the decoder for 1, 2, 3, 4 and 6 at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.transcripts.pieces import WINDOW_MS

#: The most audio that a job counts as: the model decodes a job one window at a time.
WINDOW_SECONDS = WINDOW_MS / 1000
#: Background jobs leave room for this many urgent jobs.
ROOM_FOR_URGENT = 2
#: On a CPU: `Room.urgent_few`. Where windows are encoded in full also the most urgent jobs that a worker takes at a time.
CPU_URGENT = 4
#: On a CPU: the most windows of background audio at a time, and `Room.background_few`.
CPU_WINDOWS, CPU_BACKGROUND = 3, 2


@dataclass(frozen=True, kw_only=True)
class Kind:
    """The facts about a worker that decide its room. `is_for_long`: it is there for long audio (`Route.is_for_long`)."""

    on_cpu: bool
    encodes_in_full: bool
    is_for_long: bool
    batch_size: int


@dataclass(frozen=True, kw_only=True)
class Room:
    """How many more jobs fit, and how much more background audio. Each background job counts as one window at most.

    `urgent_few`, `background_few`: this many at a time are decoded almost as cheaply as more. Up to them, a worker takes its part
    of the waiting jobs, whatever it has in hand. Beyond them, it takes a job only if it then has no more than its share of all
    jobs, those in its hand included (`share_of` in parts/claim_room.lua).
    """

    urgent: int
    urgent_few: int
    background: int
    background_few: int
    background_seconds: float


def room_beside(urgent: int, background_seconds: Sequence[float], kind: Kind) -> Room:
    """The room beside this many urgent jobs, and beside background jobs of these lengths.

    A worker that is there for long audio keeps no room for urgent jobs.
    """
    in_hand = [min(seconds, WINDOW_SECONDS) for seconds in background_seconds]
    most_urgent = min(kind.batch_size, CPU_URGENT) if kind.on_cpu and kind.encodes_in_full else kind.batch_size
    most = kind.batch_size if kind.is_for_long else max(1, kind.batch_size - ROOM_FOR_URGENT)
    windows = min(most, CPU_WINDOWS) if kind.on_cpu else most
    return Room(
        urgent=max(0, most_urgent - urgent),
        urgent_few=CPU_URGENT if kind.on_cpu else kind.batch_size,
        background=most - len(in_hand),
        background_few=CPU_BACKGROUND if kind.on_cpu else kind.batch_size,
        background_seconds=windows * WINDOW_SECONDS - sum(in_hand),
    )
