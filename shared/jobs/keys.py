"""The Redis keys of one fleet. The Lua scripts build the same names (`parts/prelude.lua`)."""

from dataclasses import dataclass

from shared.jobs.lanes import Lane


@dataclass(frozen=True, slots=True)
class Keys:
    """Key names under a prefix, so that two fleets can share a server. docs/redis.md says what each key holds, and until when."""

    prefix: str

    def job(self, job_id: str) -> str:
        return f"{self.prefix}:job:{job_id}"

    def audio(self, job_id: str) -> str:
        return f"{self.prefix}:audio:{job_id}"

    def transcript(self, job_id: str) -> str:
        return f"{self.prefix}:transcript:{job_id}"

    def partial(self, job_id: str) -> str:
        return f"{self.prefix}:partial:{job_id}"

    def pieces(self, job_id: str) -> str:
        """The checkpoints of a long file: the transcripts of those pieces that are done."""
        return f"{self.prefix}:pieces:{job_id}"

    def gone(self, job_id: str) -> str:
        return f"{self.prefix}:gone:{job_id}"

    def unreadable(self, sha256: str) -> str:
        """Set for a file that has broken or exhausted its reader."""
        return f"{self.prefix}:unreadable:{sha256}"

    def jobs(self, tenant: str) -> str:
        return f"{self.prefix}:jobs:{tenant}"

    def worker(self, name: str) -> str:
        return f"{self.prefix}:worker:{name}"

    def revisions(self, model: str) -> str:
        """The cache revisions of a model's workers, by when a worker with that revision was last heard of."""
        return f"{self.prefix}:revisions:{model}"

    @property
    def workers(self) -> str:
        return f"{self.prefix}:workers"

    def workers_on(self, device: str, model: str) -> str:
        """The workers on one kind of device that are ready to decode with a model, by when each was last heard of."""
        return f"{self.prefix}:workers:{device}:{model}"

    @property
    def in_flight(self) -> str:
        return f"{self.prefix}:in_flight"

    @property
    def load(self) -> str:
        return f"{self.prefix}:load"

    @property
    def pace(self) -> str:
        """For each lane: the audio decoded lately, and the busy time that workers needed for it."""
        return f"{self.prefix}:pace"

    @property
    def totals(self) -> str:
        return f"{self.prefix}:totals"

    @property
    def events(self) -> str:
        """The pub/sub channel that carries the id of each job that ends."""
        return f"{self.prefix}:events"

    @property
    def replicated(self) -> str:
        """A channel without listeners: its messages take the way to the replicas behind a change that is waited for."""
        return f"{self.prefix}:replicated"

    def withdrawn(self, worker: str) -> str:
        """The pub/sub channel that tells a worker which of its attempts it is to give up."""
        return f"{self.prefix}:withdrawn:{worker}"

    def claimed(self, worker: str) -> str:
        """The last claim of a worker: the id of the call, and the jobs that it took."""
        return f"{self.prefix}:claimed:{worker}"

    def bell(self, lane: str) -> str:
        """The list that idle workers block on. `lane` is the name of an RQ queue."""
        return f"{self.prefix}:bell:{lane}"

    def lane(self, model: str, lane: Lane) -> str:
        """The name of the RQ queue in which jobs for a model wait."""
        return f"{self.prefix}.{model}.{lane.value}"


def piece_id(job_id: str, number: int) -> str:
    """The job id of piece `number` (from 1) of a long file. Callers cannot name such an id."""
    return f"{job_id}_p{number}"


#: How long a file that breaks its readers is remembered: until then gateways refuse it without reading it again.
UNREADABLE_SECONDS = 86_400
