"""The parts of a worker that speak to Redis. Built once per process by `worker.__main__`."""

from dataclasses import dataclass

from redis import Redis

from shared.settings import WorkerSettings
from worker.queue.claims import Claims
from worker.queue.leases import WorkerStore
from worker.queue.register import Register
from worker.queue.routing import ServedLanes
from worker.queue.script_runner import Scripts


@dataclass(frozen=True, kw_only=True)
class Services:
    """How it gets jobs, what it does to those that it holds, and how it shows."""

    lanes: ServedLanes
    claims: Claims
    store: WorkerStore
    register: Register


def assemble(redis: Redis, settings: WorkerSettings, worker: str) -> Services:
    """`worker`: its name, unique among all there are."""
    scripts, lanes = Scripts(redis, settings, worker), ServedLanes(settings)
    store = WorkerStore(redis, scripts, settings, lanes)
    return Services(
        lanes=lanes,
        claims=Claims(scripts, settings, lanes, store),
        store=store,
        register=Register(redis, scripts, settings, lanes, worker),
    )
