"""How many jobs a second one Redis bears, by its share of a core under the load that this machine can make."""

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
from tests.report import Finding

#: The options of docker-compose.yml. `appendfsync` changes between the measurements, on one server.
AS_DEPLOYED = ("--appendonly", "yes", "--appendfsync", "always", "--maxmemory", "2gb", "--maxmemory-policy", "noeviction")
SETTINGS = ("always", "everysec")
SUPERVISORS, START_SECONDS = 200, 60.0
#: Bytes that a supervisor may take of the free memory. Where there is less, fewer supervisors are started.
SUPERVISOR_BYTES = 40_000_000
#: Sizes of the clips: 3 s and 0.25 s of 16 kHz PCM.
SIZES = {"96 KB": 96_044, "8 KB": 8_044}
#: How many jobs are under way: more than supervisors, so that none waits for the generator.
UNDER_WAY = 300
IDLE_SECONDS, WARM_SECONDS, LOAD_SECONDS = 8.0, 3.0, 20.0
#: Each supervisor holds one job for `HOLD_SECONDS`, and in `BUSY_SECONDS` of them its cost is measured.
HOLD_SECONDS, BUSY_SECONDS = 14.0, 8.0
MODEL = "instant"
#: The share of a core up to which a Redis can be used without long waits.
FULL = 0.7
MUST_JOBS, MUST_IDLE_MS, MUST_BUSY_MS = 600, 0.1, 0.4


@dataclass(frozen=True, kw_only=True)
class Load:
    """What was measured under load: jobs that ended in the stretch of time, the costs, and how Redis waited for the disk."""

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
        """Jobs per second of a Redis that has a core of its own: extrapolated."""
        return self.per_second / self.share


@dataclass(frozen=True, kw_only=True)
class Measured:
    """All that was measured of one fleet. `idle` and `busy`: seconds of Redis per supervisor and second."""

    supervisors: int
    supervisor_bytes: float
    start_seconds: float
    idle: float
    busy: float
    loads: Sequence[Load]
    acknowledged: int
    faults: dict[str, int]


def redis_load(folder: Path) -> Iterator[Finding]:
    """One Redis, as many supervisors as fit (200 at most), and a gateway without HTTP in this process."""
    with redis_server(folder, *AS_DEPLOYED) as server, _supervisors(server, folder) as running:
        seen = asyncio.run(_measure(server, running))
    kept = f"{seen.acknowledged:,} acknowledged, {_told(seen.faults)}"
    for load in seen.loads:
        yield Finding(
            experiment=f"jobs/s of one Redis: up to {SUPERVISORS} supervisors with an engine of microseconds, distinct {load.size} "
            f"clips, appendfsync {load.setting}, {LOAD_SECONDS:.0f} s",
            must=f"0 lost, each decoded once; extrapolated to a core of its own: >= {MUST_JOBS} jobs/s",
            seen=_sentence(load, seen) + f"; in all phases {kept}",
            holds=not seen.faults and load.on_own_core >= MUST_JOBS,
        )
    yield Finding(
        experiment=f"processor time of Redis for each of up to {SUPERVISORS} supervisors and second",
        must=f"<= {MUST_IDLE_MS} ms idle, <= {MUST_BUSY_MS} ms with a job",
        seen=f"{1e3 * seen.idle:.2f} ms idle, {1e3 * seen.busy:.2f} ms with a job; {seen.supervisors} supervisors of "
        f"{seen.supervisor_bytes / 1e6:.0f} MB each, started in {seen.start_seconds:.0f} s",
        holds=1e3 * seen.idle <= MUST_IDLE_MS and 1e3 * seen.busy <= MUST_BUSY_MS,
    )


def _sentence(load: Load, seen: Measured) -> str:
    cost, share = load.cost, load.share
    per_job = (cost.redis - seen.idle * seen.supervisors * cost.time) / load.jobs
    others = (cost.supervisors / cost.time, cost.generator / cost.time, cost.rewriting / cost.time)
    return (
        f"{load.per_second:.0f} jobs/s by {seen.supervisors} supervisors, {share:.0%} of a core for Redis' main thread "
        f"({cost.redis / cost.time:.0%} with its other threads; {load.disk.share:.0%} of its time it waited for the disk); "
        f"extrapolated: {load.on_own_core:.0f} jobs/s on a core of its own, {FULL * load.on_own_core:.0f} at {FULL:.0%} of it; "
        f"{1e3 * cost.redis / load.jobs:.2f} ms and {cost.commands / load.jobs:.0f} commands a job, without what idle "
        f"supervisors cost {1e3 * per_job:.2f} ms; cores of the supervisors {others[0]:.2f}, of the generator {others[1]:.2f}, "
        f"of rewriting files {others[2]:.2f}"
    )


def _told(faults: dict[str, int]) -> str:
    return ", ".join(f"{number} {what}" for what, number in faults.items()) or "0 lost, each decoded once"


@contextmanager
def _supervisors(server: RedisServer, folder: Path) -> Iterator[Running]:
    """The process whose children are the supervisors, for the time of a `with`."""
    number = min(SUPERVISORS, psutil.virtual_memory().available // SUPERVISOR_BYTES)
    command = [sys.executable, "-m", "tests.benchmarks.redis_load.supervisors", str(number)]
    settings = {"REDIS_URL": server.url, "WHISPER_MODEL": MODEL, "LOG_LEVEL": "WARNING", "LOG_FORMAT": "json"}
    running = start(command, folder / "supervisors.log", RECYCLE_AFTER_JOBS="0", **settings)
    try:
        yield running
    finally:
        running.stop()


async def _measure(server: RedisServer, running: Running) -> Measured:
    assert server.running is not None
    began = time.monotonic()
    with server.client() as client:
        async with gateway(server.url, MODEL) as generator:
            number = int(psutil.Process(running.pid).cmdline()[-1])
            await _all_ready(generator, running, number)
            start_seconds, processes = time.monotonic() - began, psutil.Process(running.pid).children()
            idle = await _idle(client, processes)
            held = await _busy(generator, client, processes)
            loads = [
                await _under_load(generator, client, processes, server.running.pid, size, setting)
                for size in SIZES
                for setting in SETTINGS
            ]
            return Measured(
                supervisors=number,
                supervisor_bytes=sum(process.memory_full_info().pss for process in processes) / number,
                start_seconds=start_seconds,
                idle=idle,
                busy=held,
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


async def _idle(client: "redis.Redis", processes: Sequence[psutil.Process]) -> float:
    """Seconds of Redis per second and supervisor that has nothing to do."""
    await asyncio.sleep(WARM_SECONDS)
    before = counters(client, processes)
    await asyncio.sleep(IDLE_SECONDS)
    cost = counters(client, processes).since(before)
    return cost.redis / cost.time / len(processes)


async def _busy(generator: Generator, client: "redis.Redis", processes: Sequence[psutil.Process]) -> float:
    """Seconds of Redis per second and supervisor that has one job."""
    held = [generator.one_job(SIZES["8 KB"], int(1000 * HOLD_SECONDS)) for _ in processes]
    jobs = asyncio.gather(*held)
    await asyncio.sleep(WARM_SECONDS)
    before = counters(client, processes)
    await asyncio.sleep(BUSY_SECONDS)
    cost = counters(client, processes).since(before)
    await jobs
    return cost.redis / cost.time / len(processes)


async def _under_load(
    generator: Generator, client: "redis.Redis", processes: Sequence[psutil.Process], redis_pid: int, size: str, setting: str
) -> Load:
    client.config_set("appendfsync", setting)
    jobs = asyncio.create_task(generator.keep_busy(UNDER_WAY, SIZES[size]))
    await asyncio.wait([jobs], timeout=WARM_SECONDS)
    with watched(redis_pid) as disk:
        before, ends = counters(client, processes), generator.ends
        await asyncio.wait([jobs], timeout=LOAD_SECONDS)
        cost, ended = counters(client, processes).since(before), generator.ends - ends
    generator.stop()
    await jobs
    return Load(size=size, setting=setting, jobs=ended, cost=cost, disk=disk)
