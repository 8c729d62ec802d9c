"""One Redis, many supervisors, one generator: what Redis takes of a core while they are idle, busy, and under full load."""

import asyncio
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import redis

from tests.benchmarks.redis_load.costs import Counters, Disk, counters, watched
from tests.benchmarks.redis_load.generator import Generator, gateway
from tests.processes import RedisServer, Running, redis_server, start

#: The options of docker-compose.yml. `appendfsync` changes between the measurements, on one server.
AS_DEPLOYED = ("--appendonly", "yes", "--appendfsync", "always", "--maxmemory", "2gb", "--maxmemory-policy", "noeviction")
SETTINGS = ("always", "everysec")
SUPERVISORS, START_SECONDS = 200, 60.0
#: Bytes that a supervisor may take of the free memory. Where there is less, fewer supervisors are started.
SUPERVISOR_BYTES = 50_000_000
#: Sizes of the clips: 3 s and 0.25 s of 16 kHz PCM.
SIZES = {"96 KB": 96_044, "8 KB": 8_044}
#: How many jobs are under way: more than supervisors, so that none waits for the generator.
UNDER_WAY = 300
WARM_SECONDS, IDLE_SECONDS, LOAD_SECONDS = 3.0, 8.0, 20.0
#: Each supervisor holds a job for `HOLD_SECONDS`. In `BUSY_SECONDS` of them the cost is measured.
HOLD_SECONDS, BUSY_SECONDS = 14.0, 8.0
MODEL = "instant"


@dataclass(frozen=True, kw_only=True)
class Load:
    """Measured under load: how many jobs ended in the stretch of time, what it cost, and how Redis waited for the disk."""

    size: str
    setting: str
    jobs: int
    cost: Counters
    disk: Disk

    @property
    def per_second(self) -> float:
        return self.jobs / self.cost.time

    @property
    def share(self) -> float:
        """The share of a core that Redis' main thread takes."""
        return self.cost.main_thread / self.cost.time

    @property
    def on_own_core(self) -> float:
        """Jobs per second of a Redis that has a core of its own: extrapolated, as if the supervisors' beats grew with the jobs.

        A lower bound: the fewer jobs a disturbed machine gets through, the more of the beats counts for each.
        """
        return self.per_second / self.share

    def beside_idle(self, idle_share: float) -> float:
        """The same if supervisors take this share of the core, as when they are idle, however many jobs there are.

        An upper bound: supervisors that have jobs look for others less often.
        """
        return self.per_second * (1 - idle_share) / (self.share - idle_share)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """All that was measured. `idle` and `busy`: processor seconds of Redis per supervisor and second."""

    supervisors: int
    supervisor_bytes: float
    start_seconds: float
    idle: float
    busy: float
    loads: Sequence[Load]
    acknowledged: int
    #: What is wrong with jobs that were acknowledged, and with how many.
    faults: dict[str, int]

    @property
    def idle_share(self) -> float:
        """The share of a core that all supervisors take of Redis while they are idle."""
        return self.idle * self.supervisors


def measure(folder: Path) -> Measured:
    """Measure with `SUPERVISORS` supervisors, or as many as memory allows. Ends all processes."""
    number = min(SUPERVISORS, psutil.virtual_memory().available // SUPERVISOR_BYTES)
    with redis_server(folder, *AS_DEPLOYED) as server, _supervisors(server, folder, number) as running:
        return asyncio.run(_phases(server, running, number))


@contextmanager
def _supervisors(server: RedisServer, folder: Path, number: int) -> Iterator[Running]:
    """The process whose children are the supervisors, for the time of a `with`."""
    command = [sys.executable, "-m", "tests.benchmarks.redis_load.supervisors", str(number)]
    settings = {"REDIS_URL": server.url, "WHISPER_MODEL": MODEL, "LOG_LEVEL": "WARNING", "LOG_FORMAT": "json"}
    running = start(command, folder / "supervisors.log", RECYCLE_AFTER_JOBS="0", **settings)
    try:
        yield running
    finally:
        running.stop()


async def _phases(server: RedisServer, running: Running, number: int) -> Measured:
    began = time.monotonic()
    with server.client() as client:
        async with gateway(server.url, MODEL) as generator:
            await _all_ready(generator, running, number)
            started = time.monotonic()
            phases = _Phases(generator, client, running)
            idle = await phases.idle()
            busy = await phases.busy(idle)
            loads = [await phases.loaded(size, setting) for size in SIZES for setting in SETTINGS]
            return Measured(
                supervisors=number,
                supervisor_bytes=sum(process.memory_full_info().pss for process in phases.processes) / number,
                start_seconds=started - began,
                idle=idle,
                busy=busy,
                loads=loads,
                acknowledged=len(generator.acknowledged),
                faults=dict(await generator.faults()),
            )


async def _all_ready(generator: Generator, running: Running, number: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while await generator.ready_supervisors() < number:
        assert running.process.poll() is None, running.log_text()[-4000:]
        assert time.monotonic() < deadline, f"{number} supervisors are ready: not within {START_SECONDS:.0f} s"
        await asyncio.sleep(0.5)


class _Phases:
    """The phases of the measurement, one after another."""

    def __init__(self, generator: Generator, client: "redis.Redis", running: Running) -> None:
        self._generator, self._client = generator, client
        self.processes = psutil.Process(running.pid).children()

    async def idle(self) -> float:
        """Seconds of Redis per second and supervisor while none has a job."""
        await asyncio.sleep(WARM_SECONDS)
        cost = await self._cost(IDLE_SECONDS)
        return cost.redis / cost.time / len(self.processes)

    async def busy(self, idle: float) -> float:
        """Seconds of Redis per second and supervisor that decodes. `idle`: the same of one that does not."""
        jobs = asyncio.gather(*(self._generator.one_job(SIZES["8 KB"], int(1000 * HOLD_SECONDS)) for _ in self.processes))
        await asyncio.sleep(WARM_SECONDS)
        cost = await self._cost(BUSY_SECONDS)
        await jobs
        busy = await self._generator.supervisors_used()
        return (cost.redis / cost.time - idle * (len(self.processes) - busy)) / busy

    async def loaded(self, size: str, setting: str) -> Load:
        """Measure while as many jobs end as this machine can."""
        self._client.config_set("appendfsync", setting)
        jobs = asyncio.create_task(self._generator.keep_busy(UNDER_WAY, SIZES[size]))
        await asyncio.sleep(WARM_SECONDS)
        with watched(self._client.info("server")["process_id"]) as disk:
            ends = self._generator.ends
            cost = await self._cost(LOAD_SECONDS)
            ended = self._generator.ends - ends
        self._generator.stop()
        await jobs
        return Load(size=size, setting=setting, jobs=ended, cost=cost, disk=disk)

    async def _cost(self, seconds: float) -> Counters:
        before = counters(self._client, self.processes)
        await asyncio.sleep(seconds)
        return counters(self._client, self.processes).since(before)
