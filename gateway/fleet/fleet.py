"""What the gateway knows about the fleet: which workers hold which model, how much audio waits, and how fast it is decoded."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from gateway.fleet.fresh import NOW, Fresh
from gateway.fleet.pace import Measured, Pace
from shared.errors import UnknownModel
from shared.jobs import rq_transport
from shared.jobs.job import Job
from shared.jobs.keys import Keys
from shared.jobs.lanes import Lane, lane_for, lane_of
from shared.settings import GatewaySettings

#: Counters that are reported from the start, as 0, since an alert divides one by the other.
ALWAYS_TOLD = {"short_windows": 0, "window_fallbacks": 0}


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker that reported lately (see `Fleet.workers`). `card` holds what the worker reports about itself."""

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
        """Whether its model is loaded."""
        return self.card.get("state") == "ready"


@dataclass(frozen=True, slots=True)
class Load:
    """The jobs and audio that wait in all lanes, and how fast the fleet decodes them: see `Measured.drain_rate`."""

    jobs: int
    size_bytes: int
    audio_seconds: float
    drain_rate: float | None
    measured: Measured

    def seconds_to_drain(self) -> float | None:
        """How long the fleet takes to decode all waiting audio, in seconds; None when unknown."""
        return self.audio_seconds / self.drain_rate if self.drain_rate else None


class Fleet:
    """Reads the state of the fleet from Redis. Methods raise redis-py's errors when Redis is away."""

    def __init__(self, redis: "Redis", keys: Keys, settings: GatewaySettings) -> None:
        self._redis, self._keys, self._settings = redis, keys, settings
        self._workers, self._load = Fresh(self._look_up_workers), Fresh(self._look_up_load)

    async def workers(self) -> list[Worker]:
        """The workers that reported within the time of three leases, sorted by name. The list is at most a second old."""
        return await self._workers.get()

    async def load(self) -> Load:
        """The load of all lanes, at most a second old."""
        return await self._load.get()

    async def pace(self, model: str, lane: Lane) -> Pace | None:
        """How fast the ready workers decode audio that waits for this model in this lane; None when unknown."""
        load, ready = await self.load(), await self._ready_workers()
        return load.measured.pace(model, lane, ready, is_routed=self._settings.route_short_to_cpu_seconds > 0)

    async def seconds_until_done(self, job: Job, audio_seconds_ahead: float) -> float | None:
        """How many seconds from now a waiting job will be done, at the fleet's pace; None when that is unknown."""
        settings = self._settings
        lane = lane_of(job.lane) or lane_for(job.priority, job.audio_seconds, settings.long_above_seconds)
        pace = await self.pace(job.model, lane)
        is_cut = 0 < settings.split_above_seconds < job.audio_seconds
        return pace.seconds_for(audio_seconds_ahead, job.audio_seconds, is_cut) if pace else None

    async def is_ready(self) -> bool:
        """Whether a worker is ready now for jobs that name no model. A worker that has been silent for a lease does not count."""
        model, lease = await self.resolve_model(None), self._settings.lease_seconds
        workers = await self._workers.get(NOW)
        return any(worker.is_ready and worker.model == model and worker.silent_seconds < lease for worker in workers)

    async def resolve_model(self, named: str | None) -> str:
        """The model of a job: the named one, else the fleet's own, else the first (by name) that a worker holds.

        A model that no worker holds at the moment is accepted for an hour after its last worker left. While there are no workers
        at all, the fleet's own model is accepted, too. Raises `UnknownModel` for any other named model.
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
        """The body of `GET /stats`."""
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
