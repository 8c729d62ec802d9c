"""The parts of a worker that speak to Redis. Built once per process by `worker.__main__`."""

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
    """How it gets jobs, what it does to those that it holds, and how it shows."""

    lanes: ServedLanes
    claims: Claims
    leases: Leases
    register: Register


def assemble(redis: Redis, settings: WorkerSettings, worker: str) -> QueueSide:
    """`worker`: its name, unique among all there are."""
    scripts, lanes = ScriptRunner(redis, settings, worker), ServedLanes(settings)
    leases = Leases(redis, scripts, settings, lanes)
    return QueueSide(
        lanes=lanes,
        claims=Claims(scripts, settings, lanes, leases),
        leases=leases,
        register=Register(redis, scripts, settings, lanes, worker),
    )
