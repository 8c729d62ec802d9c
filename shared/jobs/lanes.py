"""The lanes in which jobs for a model wait: who is served first, and how nobody starves."""

from enum import Enum

from shared.jobs.options import Priority


class Lane(str, Enum):
    """In the order in which they are served."""

    #: Short audio that somebody waits for.
    INTERACTIVE = "interactive"
    #: Long files, and the pieces that they are cut into.
    LONG = "long"
    #: What nobody waits for, whatever its length.
    BATCH = "batch"

    @property
    def patience(self) -> int:
        """How many jobs of other lanes may be started while this one waits; then it has a turn. So these are weights, too."""
        return {Lane.INTERACTIVE: 16, Lane.LONG: 4, Lane.BATCH: 16}[self]


#: What a model runs on.
CPU, GPU = "cpu", "cuda"
#: Whose a lane is where short audio is routed to CPUs and long audio to GPUs. The batch lane is everybody's.
OWNERS = {Lane.INTERACTIVE: CPU, Lane.LONG: GPU}


def lane_of(queue: str | None) -> Lane | None:
    """The lane that an RQ queue's name stands for; None if it is none of ours."""
    last = (queue or "").rpartition(".")[2]
    return Lane(last) if last in Lane._value2member_map_ else None


def lane_for(priority: Priority, audio_seconds: float, long_above_seconds: float) -> Lane:
    """Where a job waits. `long_above_seconds`: 0 calls nothing long."""
    if priority is Priority.BATCH:
        return Lane.BATCH
    return Lane.LONG if 0 < long_above_seconds < audio_seconds else Lane.INTERACTIVE
