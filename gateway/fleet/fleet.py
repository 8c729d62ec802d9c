"""What the gateway knows of the fleet: who works with which model, how much waits, and how fast it goes away."""

import asyncio
import math
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from redis.asyncio import Redis

from gateway.fleet.pace import Measured, Pace
from shared.errors import UnknownModel
from shared.jobs import rq_transport
from shared.jobs.job import Job
from shared.jobs.keys import Keys
from shared.jobs.lanes import Lane, lane_for, lane_of
from shared.settings import GatewaySettings

FRESH_SECONDS, NOW = 1.0, 0.0
#: Counters that an alert divides: there from the start.
ALWAYS_TOLD = {"short_windows": 0, "window_fallbacks": 0}
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker that has been heard of lately."""

    name: str
    card: Mapping[str, str]
    silent_seconds: float

    @property
    def model(self) -> str:
        return self.card.get("model", "")

    @property
    def device(self) -> str:
        return self.card.get("device", "")

    @property
    def is_ready(self) -> bool:
        """Its model is loaded."""
        return self.card.get("state") == "ready"


@dataclass(frozen=True, slots=True)
class Load:
    """What waits in all lanes, and how fast the fleet gets through it: see `Measured.drain_rate`."""

    jobs: int
    size_bytes: int
    audio_seconds: float
    drain_rate: float | None
    measured: Measured

    def seconds_to_drain(self) -> float | None:
        """How long the fleet takes for all that waits; None when unknown."""
        return self.audio_seconds / self.drain_rate if self.drain_rate else None


class Fresh(Generic[T]):
    """A value looked up at most once a second (unless it has to be newer), once for all who ask meanwhile.

    They all get what the look-up comes to, its error included: while Redis hangs, nobody waits for more than one.
    """

    def __init__(self, look_up: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._look_up = look_up
        self._value: T | None = None
        self._at = -math.inf
        self._under_way: asyncio.Task[T] | None = None

    async def get(self, at_most_seconds_old: float = FRESH_SECONDS) -> T:
        """Raises what the look-up raises."""
        if self._value is not None and time.monotonic() - self._at <= at_most_seconds_old:
            return self._value
        if self._under_way is None:
            self._under_way = asyncio.create_task(self._renew())
            self._under_way.add_done_callback(self._over)
        # One that is cancelled takes nobody else along.
        return await asyncio.shield(self._under_way)

    async def _renew(self) -> T:
        self._value, self._at = await self._look_up(), time.monotonic()
        return self._value

    def _over(self, ended: "asyncio.Task[T]") -> None:
        self._under_way = None
        if not ended.cancelled():
            ended.exception()  # seen, even if nobody waits for it any more


class Fleet:
    """Methods raise redis-py's errors when Redis is away."""

    def __init__(self, redis: "Redis", keys: Keys, settings: GatewaySettings) -> None:
        self._redis, self._keys, self._settings = redis, keys, settings
        self._workers, self._load = Fresh(self._look_up_workers), Fresh(self._look_up_load)

    async def workers(self) -> list[Worker]:
        """Those alive, by name; at most a second old."""
        return await self._workers.get()

    async def load(self) -> Load:
        """What waits; at most a second old."""
        return await self._load.get()

    async def pace(self, model: str, lane: Lane) -> Pace | None:
        """How fast audio that waits for this model in this lane goes away; None when unknown."""
        load, ready = await self.load(), await self._ready_workers()
        return load.measured.pace(model, lane, ready, is_routed=self._settings.route_short_to_cpu_seconds > 0)

    async def seconds_until_done(self, job: Job, audio_seconds_ahead: float) -> float | None:
        """How long a waiting job will take from now, at the fleet's pace; None when that is unknown."""
        settings = self._settings
        lane = lane_of(job.lane) or lane_for(job.priority, job.audio_seconds, settings.long_above_seconds)
        pace = await self.pace(job.model, lane)
        is_cut = 0 < settings.split_above_seconds < job.audio_seconds
        return pace.seconds_for(audio_seconds_ahead, job.audio_seconds, is_cut) if pace else None

    async def is_ready(self) -> bool:
        """Whether somebody with the model of jobs that name none is there, now: nobody counts on one after a lease of silence."""
        model, lease = await self.resolve_model(None), self._settings.lease_seconds
        workers = await self._workers.get(NOW)
        return any(worker.is_ready and worker.model == model and worker.silent_seconds < lease for worker in workers)

    async def resolve_model(self, named: str | None) -> str:
        """The model a job goes to: the named one, else the fleet's own, else whatever the workers hold. Raises `UnknownModel`.

        One that no worker holds for the moment is expected back for an hour, and the fleet's own while there are no workers.
        """
        asked, held = named or self._settings.model_name, sorted({w.model for w in await self.workers() if w.model})
        if asked in held or (not held and asked == self._settings.model_name) or await self._is_expected(asked):
            return asked
        if named is None:
            return held[0]
        there_is = ", ".join(held or [self._settings.model_name])
        raise UnknownModel(f"No worker holds the model {named!r}; there is {there_is}. Leave it out to take the fleet's own.")

    async def _is_expected(self, model: str) -> bool:
        return bool(await self._redis.exists(self._keys.revisions(model)))

    async def _ready_workers(self) -> list[Worker]:
        return [worker for worker in await self.workers() if worker.is_ready]

    async def stats(self) -> dict[str, Any]:
        """The numbers behind `GET /stats`."""
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.smembers(rq_transport.QUEUES_KEY)
            pipeline.zcard(self._keys.in_flight)
            pipeline.hgetall(self._keys.totals)
            names, in_flight, totals = await pipeline.execute()
        workers, load = await self._workers.get(NOW), await self._load.get(NOW)
        counts = {name: int(count) for name, count in totals.items()}
        return {
            "queues": await self._lane_lengths(names),
            "queued_jobs": load.jobs,
            "queued_bytes": load.size_bytes,
            "queued_audio_seconds": load.audio_seconds,
            "in_flight": int(in_flight),
            "drain_rate": load.drain_rate,
            "cache_hit_rate": _share(counts, "cache_hits", "shared_flights", "cache_misses"),
            "workers": [_card(worker) for worker in workers],
            "totals": dict(sorted((ALWAYS_TOLD | counts).items())),
        }

    async def _lane_lengths(self, queue_names: set[str]) -> dict[str, int]:
        start = rq_transport.queue_key(self._keys.prefix + ".")
        mine = sorted(name for name in queue_names if name.startswith(start))
        async with self._redis.pipeline(transaction=False) as pipeline:
            for name in mine:
                pipeline.llen(name)
            lengths = await pipeline.execute() if mine else []
        return {name.removeprefix(start): int(length) for name, length in zip(mine, lengths, strict=True)}

    async def _look_up_workers(self) -> list[Worker]:
        now = await self._now()
        oldest = now - 3 * self._settings.lease_seconds
        seen: Any = await self._redis.zrangebyscore(self._keys.workers, f"({oldest * 1000:.0f}", "+inf", withscores=True)
        async with self._redis.pipeline(transaction=False) as pipeline:
            for name, _ in seen:
                pipeline.hgetall(self._keys.worker(name))
            cards = await pipeline.execute() if seen else []
        found = [Worker(name, card, max(0.0, now - at / 1000)) for (name, at), card in zip(seen, cards, strict=True) if card]
        return sorted(found, key=lambda worker: worker.name)

    async def _look_up_load(self) -> Load:
        async with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.hmget(self._keys.load, ["jobs", "bytes", "audio_ms"])
            pipeline.hgetall(self._keys.pace)
            (jobs, size_bytes, audio_ms), measured = await pipeline.execute()
        noted = Measured(measured, self._keys)
        rate = noted.drain_rate(await self._ready_workers())
        return Load(int(jobs or 0), int(size_bytes or 0), int(audio_ms or 0) / 1000, rate, noted)

    async def _now(self) -> float:
        seconds, micros = await self._redis.time()
        return float(seconds) + float(micros) / 1e6


def _share(counts: Mapping[str, int], part: str, *others: str) -> float | None:
    total = sum(counts.get(name, 0) for name in (part, *others))
    return round(counts.get(part, 0) / total, 4) if total else None


def _card(worker: Worker) -> dict[str, Any]:
    factor = worker.card.get("real_time_factor")
    measured = {"real_time_factor": float(factor) if factor else None, "silent_seconds": round(worker.silent_seconds, 1)}
    return {"name": worker.name, **worker.card, **measured}
