"""The beats by which a worker lives and keeps its leases, and the recovery of jobs whose worker died."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from redis import Redis

from shared.jobs import scripting
from shared.jobs.job import JobError
from shared.jobs.keys import Keys
from shared.settings import WorkerSettings
from worker.queue.leased_job import LeasedJob
from worker.queue.routing import ServedLanes
from worker.queue.script_runner import ScriptRunner

#: How long gateways still expect a model after its last worker was heard of.
MODEL_EXPECTED_SECONDS = 3600
#: Most lapsed jobs that one sweep handles. The next sweep follows at the next beat.
SWEEP_LIMIT = 50


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What Redis answers to a beat."""

    #: The jobs that are no longer this worker's.
    stale: Sequence[LeasedJob]
    #: A lease of any worker has lapsed: there are jobs to recover.
    has_lapsed: bool
    #: Redis has the worker's card, and RQ's record of it. Not so after it was emptied.
    is_known: bool


@dataclass(frozen=True, kw_only=True)
class Swept:
    """The ids of the jobs that one recovery sweep put back into their lanes, and of those that it failed."""

    requeued: list[str]
    failed: list[str]
    #: For each record that could not be handled, by id: why.
    broken: dict[str, str]


class Register:
    """This worker's beats, and the recovery sweep. Every method raises `redis.RedisError` when Redis is away."""

    def __init__(self, redis: Redis, scripts: ScriptRunner, settings: WorkerSettings, lanes: ServedLanes, worker: str) -> None:
        self._redis, self._scripts, self._settings, self._lanes, self._worker = redis, scripts, settings, lanes, worker
        self._keys = Keys(settings.fleet_prefix)

    def beat(
        self,
        card: Mapping[str, str],
        cache_revision: str,
        held: Sequence[LeasedJob],
        rq_fields: Mapping[str, object],
        *,
        is_ready: bool,
    ) -> Heard:
        """Say that this worker lives, and renew the leases of the jobs that it holds. Returns what Redis answers (beat.lua).

        `card`: what has changed on this worker's card, or all of it. `cache_revision`: under which this worker caches; empty
        while it is unknown. `rq_fields`: for RQ's record of the worker. `is_ready`: the fleet can count on this worker.
        """
        verdicts, lapsed, is_known = self._scripts.run(
            "beat",
            jobs=[{"id": leased.job.id, "token": leased.token, "execution": leased.execution} for leased in held],
            card=[part for pair in card.items() for part in pair],
            ttl_ms=int(3 * self._settings.lease_seconds * 1000),
            model=self._settings.model_name,
            device=self._lanes.device,
            is_ready=is_ready,
            revision=cache_revision,
            expected_ttl=MODEL_EXPECTED_SECONDS,
            rq=rq_fields,
            **self._scripts.lease,
        )
        stale = [leased for leased, verdict in zip(held, verdicts, strict=True) if scripting.text(verdict) != "ok"]
        return Heard(stale=stale, has_lapsed=bool(lapsed), is_known=bool(is_known))

    def leave(self) -> None:
        """Remove this worker's entry."""
        with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.delete(self._keys.worker(self._worker), self._keys.claimed(self._worker))
            pipeline.zrem(self._keys.workers, self._worker)
            pipeline.zrem(self._keys.workers_on(self._lanes.device, self._settings.model_name), self._worker)
            pipeline.execute()

    def recover(self) -> Swept:
        """Recover the jobs that dead workers held. Several workers may do so at the same time: each job is recovered once."""
        poison = JobError(
            code="poison_job",
            message=f"The job was lost with its worker {self._settings.max_attempts} times and is given up; "
            "retry it by its id once the workers are well.",
            retryable=True,
        )
        back, failed, broken = self._scripts.run(
            "recover",
            max_attempts=self._settings.max_attempts,
            poison_error=poison.model_dump_json(),
            limit=SWEEP_LIMIT,
            **self._scripts.lease,
        )
        ids = [[scripting.text(i) for i in group] for group in (back, failed)]
        return Swept(requeued=ids[0], failed=ids[1], broken=scripting.broken_records("recover", broken))
