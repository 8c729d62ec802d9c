"""The list of workers in Redis, and the recovery of jobs whose worker died."""

from dataclasses import dataclass

from redis import Redis

from shared.jobs import scripting
from shared.jobs.job import JobError
from shared.jobs.keys import Keys
from shared.settings import WorkerSettings
from worker.queue.routing import ServedLanes
from worker.queue.script_runner import ScriptRunner, now_ms

#: How long gateways still expect a model after its last worker was heard of.
MODEL_EXPECTED_SECONDS = 3600
#: Most lapsed jobs that one sweep handles. The next sweep follows about a second later.
SWEEP_LIMIT, SWEEP_EVERY_MS = 50, 1000


@dataclass(frozen=True, kw_only=True)
class Swept:
    """The ids of the jobs that one recovery sweep put back into their lanes, and of those that it failed."""

    requeued: list[str]
    failed: list[str]
    #: For each record that could not be handled, by id: why.
    broken: dict[str, str]


class Register:
    """This worker's entry, and the recovery sweep. Every method raises `redis.RedisError` when Redis is away."""

    def __init__(self, redis: Redis, scripts: ScriptRunner, settings: WorkerSettings, lanes: ServedLanes, worker: str) -> None:
        self._redis, self._scripts, self._settings, self._lanes, self._worker = redis, scripts, settings, lanes, worker
        self._keys = Keys(settings.fleet_prefix)

    def announce(self, card: dict[str, str], cache_revision: str) -> None:
        """Write that this worker is alive, and with which model. Drop workers that have been silent for 30 leases.

        `cache_revision`: under which this worker caches; empty before it is known.
        """
        ttl_ms = int(3 * self._settings.lease_seconds * 1000)
        now = now_ms(self._redis)
        with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.hset(self._keys.worker(self._worker), items=[part for pair in card.items() for part in pair])
            pipeline.pexpire(self._keys.worker(self._worker), ttl_ms)
            # A beat in the future was written before the clock was set back. A living worker beats again.
            pipeline.zremrangebyscore(self._keys.workers, now + ttl_ms, "+inf")
            pipeline.zadd(self._keys.workers, {self._worker: now})
            pipeline.zremrangebyscore(self._keys.workers, "-inf", now - 10 * ttl_ms)
            kind = self._keys.workers_on(self._lanes.device, self._settings.model_name)
            if card["state"] == "ready":
                pipeline.zremrangebyscore(kind, now + ttl_ms, "+inf")
                pipeline.zadd(kind, {self._worker: now})
                pipeline.zremrangebyscore(kind, "-inf", now - 10 * ttl_ms)
                pipeline.pexpire(kind, ttl_ms)
            else:
                pipeline.zrem(kind, self._worker)
            if cache_revision:
                revisions = self._keys.revisions(self._settings.model_name)
                pipeline.zadd(revisions, {cache_revision: now})
                pipeline.zremrangebyscore(revisions, "-inf", now - 10 * ttl_ms)
                pipeline.expire(revisions, MODEL_EXPECTED_SECONDS)
            pipeline.execute()

    def leave(self) -> None:
        """Remove this worker's entry."""
        with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.delete(self._keys.worker(self._worker))
            pipeline.zrem(self._keys.workers, self._worker)
            pipeline.zrem(self._keys.workers_on(self._lanes.device, self._settings.model_name), self._worker)
            pipeline.execute()

    def recover(self) -> Swept | None:
        """Recover the jobs that dead workers held. None if another worker did so within the last second."""
        if not self._scripts.run("take_turn", what="sweeping", every_ms=SWEEP_EVERY_MS):
            return None
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
