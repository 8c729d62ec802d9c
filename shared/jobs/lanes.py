"""The lanes in which jobs for a model wait: which is served first, and how none starves."""

from enum import Enum

from shared.jobs.options import Priority


class Lane(str, Enum):
    """The lanes, in the order in which they are served."""

    #: Short audio that a caller waits for.
    INTERACTIVE = "interactive"
    #: Long files, and the pieces into which they are cut.
    LONG = "long"
    #: Audio of any length that no caller waits for.
    BATCH = "batch"

    @property
    def patience(self) -> int:
        """How many jobs of other lanes may be started while this lane waits; then it has a turn. So this is a weight, too."""
        return {Lane.INTERACTIVE: 16, Lane.LONG: 4, Lane.BATCH: 16}[self]


#: The devices that a model runs on.
CPU, GPU = "cpu", "cuda"
#: The device to which a lane belongs if short audio is routed to CPUs and long audio to GPUs. The batch lane belongs to both.
OWNERS = {Lane.INTERACTIVE: CPU, Lane.LONG: GPU}


def lane_of(queue: str | None) -> Lane | None:
    """The lane of an RQ queue, by its name; None if the queue is not a lane of a fleet."""
    last = (queue or "").rpartition(".")[2]
    return Lane(last) if last in Lane._value2member_map_ else None


def lane_for(priority: Priority, audio_seconds: float, long_above_seconds: float) -> Lane:
    """The lane in which a job waits. Audio above `long_above_seconds` is long; 0: no audio is."""
    if priority is Priority.BATCH:
        return Lane.BATCH
    return Lane.LONG if 0 < long_above_seconds < audio_seconds else Lane.INTERACTIVE
