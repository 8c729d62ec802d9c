"""Which lanes a worker serves. In a fleet with CPU and GPU workers this may depend on the worker's device."""

from dataclasses import dataclass

from shared.jobs.job import Job
from shared.jobs.keys import Keys
from shared.jobs.lanes import CPU, GPU, OWNERS, Lane
from shared.settings import WorkerSettings


@dataclass(frozen=True)
class Route:
    """Lanes in the order in which they are served. `foreign` lanes belong to workers on `other_device`, which may need help."""

    lanes: tuple[Lane, ...]
    foreign: tuple[Lane, ...] = ()
    other_device: str = ""
    #: The devices of all workers that serve the same lanes.
    peer_devices: tuple[str, ...] = (CPU, GPU)

    @property
    def is_for_long(self) -> bool:
        """Whether this worker is there for long audio: then it keeps no room for short audio."""
        return bool(self.foreign) and Lane.LONG not in self.foreign


def route_for(device: str, settings: WorkerSettings) -> Route:
    """The route of a worker on `device`: all lanes, unless the settings send short audio to CPUs and long audio to GPUs."""
    if not settings.route_short_to_cpu_seconds:
        return Route(tuple(Lane))
    (foreign,) = (lane for lane, owner in OWNERS.items() if owner != device)
    (own,) = OWNERS.keys() - {foreign}
    return Route((own, Lane.BATCH, foreign), (foreign,), OWNERS[foreign], (device,))


class ServedLanes:
    """The lanes that this worker serves, by the names of their RQ queues. It counts as a CPU worker until its model is loaded."""

    def __init__(self, settings: WorkerSettings) -> None:
        keys = Keys(settings.fleet_prefix)
        self._settings, self._names = settings, {lane: keys.lane(settings.model_name, lane) for lane in Lane}
        self.runs_on(CPU)

    def runs_on(self, device: str) -> None:
        """Note the device on which the model was loaded. It decides which lanes this worker serves."""
        self.device, self.route = device, route_for(device, self._settings)

    @property
    def on_cpu(self) -> bool:
        return self.device == CPU

    @property
    def names(self) -> list[str]:
        """The names of the served lanes, in the order in which they are served."""
        return [self.name_of(lane) for lane in self.route.lanes]

    def name_of(self, lane: Lane) -> str:
        """The name of a lane's RQ queue."""
        return self._names[lane]

    def is_urgent(self, job: Job) -> bool:
        """Whether the job is in the interactive lane: its caller should not have to wait for long files."""
        return job.lane == self.name_of(Lane.INTERACTIVE)
