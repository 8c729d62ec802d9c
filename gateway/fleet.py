"""What the gateway knows of the fleet: who works with which model, how much waits, and how fast it goes away."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from redis.asyncio import Redis

from shared import rq_transport
from shared.errors import UnknownModel
from shared.keys import Keys
from shared.settings import GatewaySettings

FRESH_SECONDS = 1.0
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
    def is_ready(self) -> bool:
        """Its model is loaded."""
        return self.card.get("state") == "ready"


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds of audio per second: of one worker that has something to do, and of all that are ready, as measured lately."""

    one: float
    all: float

    def seconds_for(self, ahead: float, own: float, is_shared: bool) -> float:
        """Until audio is done that has so much ahead of it, in seconds both. `is_shared`: all workers decode parts of it."""
        return ahead / self.all + own / (self.all if is_shared else self.one)


@dataclass(frozen=True, slots=True)
class Load:
    """What waits in all lanes, and by model how fast it goes away; models are absent that nobody holds or has used yet."""

    jobs: int
    size_bytes: int
    audio_seconds: float
    paces: Mapping[str, Pace]

    @property
    def drain_rate(self) -> float | None:
        """Seconds of audio per second while all have something to do; None when nothing has been measured."""
        return round(sum(pace.all for pace in self.paces.values()), 3) if self.paces else None

    def seconds_to_drain(self) -> float | None:
        """How long the fleet takes for all that waits; None when unknown."""
        return self.audio_seconds / self.drain_rate if self.drain_rate else None


class _Fresh(Generic[T]):
    """A value looked up at most once a second, by one task for all."""

    def __init__(self, look_up: Callable[[], Awaitable[T]]) -> None:
        self._look_up, self._lock = look_up, asyncio.Lock()
        self._value: T | None = None
        self._at = -math.inf

    async def get(self) -> T:
        async with self._lock:
            if self._value is None or time.monotonic() - self._at > FRESH_SECONDS:
                self._value, self._at = await self._look_up(), time.monotonic()
            return self._value


class Fleet:
    """Methods raise redis-py's errors when Redis is away."""

    def __init__(self, redis: "Redis", keys: Keys, settings: GatewaySettings) -> None:
        self._redis, self._keys, self._settings = redis, keys, settings
        self._own_model = settings.model_name  # asks the file system
        self._workers, self._load = _Fresh(self._look_up_workers), _Fresh(self._look_up_load)

    async def workers(self) -> list[Worker]:
        """Those alive, by name; at most a second old."""
        return await self._workers.get()

    async def load(self) -> Load:
        """What waits; at most a second old."""
        return await self._load.get()

    async def is_ready(self) -> bool:
        """Whether somebody with a loaded model is there, now: after a lease of silence nobody counts on a worker."""
        lease = self._settings.lease_seconds
        return any(worker.is_ready and worker.silent_seconds < lease for worker in await self._look_up_workers())

    async def resolve_model(self, named: str | None) -> str:
        """The model a job goes to: the named one, else the fleet's own, else whatever the workers hold. Raises `UnknownModel`.

        The fleet's own is expected back when no worker holds it for the moment, unless workers never did while others are there.
        """
        own, held = self._own_model, sorted({w.model for w in await self.workers() if w.model})
        if own not in held and (not held or await self._was_held(own)):
            held.insert(0, own)
        if named is None:
            return own if own in held else held[0]
        if named not in held:
            raise UnknownModel(
                f"No worker holds the model {named!r}; there is {', '.join(held)}. Leave it out to take {held[0]}."
            )
        return named

    async def _was_held(self, model: str) -> bool:
        return bool(await self._redis.hexists(self._keys.models, model))

    async def stats(self) -> dict[str, Any]:
        """The numbers behind `GET /stats`."""
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.smembers(rq_transport.QUEUES_KEY)
            pipeline.zcard(self._keys.in_flight)
            pipeline.hgetall(self._keys.totals)
            names, in_flight, totals = await pipeline.execute()
        load, counts = await self._look_up_load(), {name: int(count) for name, count in totals.items()}
        return {
            "queues": await self._lane_lengths(names),
            "queued_jobs": load.jobs,
            "queued_bytes": load.size_bytes,
            "queued_audio_seconds": load.audio_seconds,
            "in_flight": int(in_flight),
            "drain_rate": load.drain_rate,
            "cache_hit_rate": _share(counts, "cache_hits", "shared_flights", "cache_misses"),
            "workers": [_card(worker) for worker in await self._look_up_workers()],
            "totals": dict(sorted(counts.items())),
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
        ready = Counter(worker.model for worker in await self.workers() if worker.is_ready)
        return Load(int(jobs or 0), int(size_bytes or 0), int(audio_ms or 0) / 1000, paces(measured, ready))

    async def _now(self) -> float:
        seconds, micros = await self._redis.time()
        return float(seconds) + float(micros) / 1e6


def paces(measured: Mapping[str, str], ready: Mapping[str, int]) -> dict[str, Pace]:
    """From what `finish.lua` notes of each model, and how many workers are ready to decode with it."""
    found = {}
    for model, workers in ready.items():
        audio_ms, busy_ms = (int(measured.get(f"{model}:{what}_ms", 0)) for what in ("audio", "busy"))
        if audio_ms and busy_ms:
            found[model] = Pace(audio_ms / busy_ms, workers * audio_ms / busy_ms)
    return found


def _share(counts: Mapping[str, int], part: str, *others: str) -> float | None:
    total = sum(counts.get(name, 0) for name in (part, *others))
    return round(counts.get(part, 0) / total, 4) if total else None


def _card(worker: Worker) -> dict[str, Any]:
    factor = worker.card.get("real_time_factor")
    measured = {"real_time_factor": float(factor) if factor else None, "silent_seconds": round(worker.silent_seconds, 1)}
    return {"name": worker.name, **worker.card, **measured}
