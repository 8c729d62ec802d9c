"""The parts of a worker that use Redis. `worker.__main__` builds them once per process."""

from dataclasses import dataclass

from redis import Redis

from shared.settings import WorkerSettings
from worker.queue.claims import Claims
from worker.queue.leases import Leases
from worker.queue.register import Register
from worker.queue.routing import ServedLanes
from worker.queue.script_runner import ScriptRunner


@dataclass(frozen=True, kw_only=True)
class QueueSide:
    """`claims` gets jobs, `leases` changes the jobs that the worker holds, `register` announces the worker."""

    lanes: ServedLanes
    claims: Claims
    leases: Leases
    register: Register


def assemble(redis: Redis, settings: WorkerSettings, worker: str) -> QueueSide:
    """Build the parts. `worker` is the worker's name, unique in the fleet."""
    scripts, lanes = ScriptRunner(redis, settings, worker), ServedLanes(settings)
    leases = Leases(redis, scripts, settings, lanes)
    return QueueSide(
        lanes=lanes,
        claims=Claims(redis, scripts, settings, lanes, leases),
        leases=leases,
        register=Register(redis, scripts, settings, lanes, worker),
    )
