"""The Redis keys of one fleet. The Lua prelude (`shared/scripts/_prelude.lua`) builds the same names from the prefix."""

from dataclasses import dataclass

from shared.lanes import Lane


@dataclass(frozen=True, slots=True)
class Keys:
    """Key names under a prefix, so that two fleets can share a server. The table in docs/redis.md says who deletes what."""

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
        """The transcripts of a long file's pieces that are done."""
        return f"{self.prefix}:pieces:{job_id}"

    def gone(self, job_id: str) -> str:
        return f"{self.prefix}:gone:{job_id}"

    def unreadable(self, sha256: str) -> str:
        """A file that has broken or exhausted its reader."""
        return f"{self.prefix}:unreadable:{sha256}"

    def jobs(self, tenant: str) -> str:
        return f"{self.prefix}:jobs:{tenant}"

    def worker(self, name: str) -> str:
        return f"{self.prefix}:worker:{name}"

    def revisions(self, model: str) -> str:
        """What the transcripts of a model's workers are cached under, by when they were last heard of."""
        return f"{self.prefix}:revisions:{model}"

    @property
    def workers(self) -> str:
        return f"{self.prefix}:workers"

    def workers_on(self, device: str, model: str) -> str:
        """Workers on one kind of device that are ready to decode with a model, by when they were last heard of."""
        return f"{self.prefix}:workers:{device}:{model}"

    @property
    def in_flight(self) -> str:
        return f"{self.prefix}:in_flight"

    @property
    def load(self) -> str:
        return f"{self.prefix}:load"

    @property
    def pace(self) -> str:
        """For each lane the audio that was decoded lately, and the time that it took busy workers."""
        return f"{self.prefix}:pace"

    @property
    def totals(self) -> str:
        return f"{self.prefix}:totals"

    @property
    def events(self) -> str:
        """The pub/sub channel that carries the id of each job that ends."""
        return f"{self.prefix}:events"

    def bell(self, lane: str) -> str:
        """A list that an idle worker blocks on; `lane` is an RQ queue's name."""
        return f"{self.prefix}:bell:{lane}"

    def lane(self, model: str, lane: Lane) -> str:
        """The name of the RQ queue in which jobs for a model wait."""
        return f"{self.prefix}.{model}.{lane.value}"


def piece_id(job_id: str, number: int) -> str:
    """Piece `number` (from 1) of a long file: a job of its own, which no caller's id can name."""
    return f"{job_id}_p{number}"


#: How long a file that breaks its readers is remembered, and refused without another look.
UNREADABLE_SECONDS = 86_400
