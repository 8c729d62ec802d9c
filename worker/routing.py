"""Which lanes a worker serves, by what it runs on: the hybrid of CPU and GPU workers."""

from dataclasses import dataclass

from shared.lanes import Lane
from shared.settings import WorkerSettings

CPU, GPU = "cpu", "cuda"


@dataclass(frozen=True)
class Route:
    """Lanes in the order in which they are served; `foreign` ones belong to workers on `other_device`, who may need help."""

    lanes: tuple[Lane, ...]
    foreign: tuple[Lane, ...] = ()
    other_device: str = ""

    @property
    def is_for_long(self) -> bool:
        """Long audio is what this worker is there for: none of its room is kept for short audio."""
        return bool(self.foreign) and Lane.LONG not in self.foreign


def route_for(device: str, settings: WorkerSettings) -> Route:
    """Everything for everybody, unless short audio is to go to CPUs and long audio to GPUs."""
    if not settings.route_short_to_cpu_seconds:
        return Route(tuple(Lane))
    if device == CPU:
        return Route((Lane.INTERACTIVE, Lane.BATCH, Lane.LONG), (Lane.LONG,), GPU)
    return Route((Lane.LONG, Lane.BATCH, Lane.INTERACTIVE), (Lane.INTERACTIVE,), CPU)
