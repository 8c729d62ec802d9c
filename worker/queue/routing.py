"""Which lanes a worker serves, by what it runs on: the hybrid of CPU and GPU workers."""

from dataclasses import dataclass

from shared.jobs.job import Job
from shared.jobs.keys import Keys
from shared.jobs.lanes import CPU, GPU, OWNERS, Lane
from shared.settings import WorkerSettings


@dataclass(frozen=True)
class Route:
    """Lanes in the order in which they are served; `foreign` ones belong to workers on `other_device`, who may need help."""

    lanes: tuple[Lane, ...]
    foreign: tuple[Lane, ...] = ()
    other_device: str = ""
    #: What those run on who serve the same lanes.
    peer_devices: tuple[str, ...] = (CPU, GPU)

    @property
    def is_for_long(self) -> bool:
        """Long audio is what this worker is there for: none of its room is kept for short audio."""
        return bool(self.foreign) and Lane.LONG not in self.foreign


def route_for(device: str, settings: WorkerSettings) -> Route:
    """Everything for everybody, unless short audio is to go to CPUs and long audio to GPUs."""
    if not settings.route_short_to_cpu_seconds:
        return Route(tuple(Lane))
    (foreign,) = (lane for lane, owner in OWNERS.items() if owner != device)
    (own,) = OWNERS.keys() - {foreign}
    return Route((own, Lane.BATCH, foreign), (foreign,), OWNERS[foreign], (device,))


class ServedLanes:
    """The lanes of this worker's model, by the names of their RQ queues. On a CPU, until the model says what it runs on."""

    def __init__(self, settings: WorkerSettings) -> None:
        keys = Keys(settings.fleet_prefix)
        self._settings, self._names = settings, {lane: keys.lane(settings.model_name, lane) for lane in Lane}
        self.runs_on(CPU)

    def runs_on(self, device: str) -> None:
        """The model is loaded, on this device: what decides which lanes it serves."""
        self.device, self.route = device, route_for(device, self._settings)

    @property
    def on_cpu(self) -> bool:
        return self.device == CPU

    @property
    def names(self) -> list[str]:
        """Those that it serves, first served first."""
        return [self.name_of(lane) for lane in self.route.lanes]

    def name_of(self, lane: Lane) -> str:
        """The RQ queue of a lane."""
        return self._names[lane]

    def is_urgent(self, job: Job) -> bool:
        """Whether somebody waits for it who should not have to wait for long files."""
        return job.lane == self.name_of(Lane.INTERACTIVE)
