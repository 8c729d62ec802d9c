"""Many small jobs, to see whether memory or keys grow."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from tests.faults.experiments.arena import Arena, arena
from tests.faults.zoo import Animal, clip
from tests.processes import wait_until
from tests.report import Finding

CLIENTS, BATCHES = 8, 10
TTL_SECONDS = 2


def soak(folder: Path, jobs: int = 20_000, batches: int = BATCHES) -> Iterator[Finding]:
    """Run ten batches. After each, when its records have expired, measure the memory and check all keys."""
    samples: list[dict[str, float]] = []
    faults: list[str] = []
    short = str(TTL_SECONDS)
    with arena(
        folder / "soak",
        RECYCLE_AFTER_JOBS="0",
        RESULT_TTL_SECONDS=short,
        CACHE_TTL_SECONDS=short,
        FAILED_AUDIO_TTL_SECONDS=short,
        GONE_TTL_SECONDS=short,
    ) as fleet:
        started = time.monotonic()
        for batch in range(batches):
            _submit(fleet, range(batch * jobs // batches, (batch + 1) * jobs // batches))
            done = (batch + 1) * jobs // batches
            wait_until(lambda done=done: fleet.totals().get("completed", 0) == done, f"{done} jobs are done", 120)  # type: ignore[misc]
            wait_until(lambda: not fleet.ledger().jobs, "their records have lapsed", 30, 0.5)
            faults += fleet.faults()
            samples.append(_memory(fleet))
        took = time.monotonic() - started
        keys = len(fleet.ledger().keys)
    growth = {name: samples[-1][name] / samples[1][name] - 1 for name in samples[0]}
    yield Finding(
        experiment=f"{jobs} jobs with a model of microseconds (results kept {TTL_SECONDS} s)",
        must="memory of gateway, supervisor and Redis flat: the last tenth within 5 % of the second; no orphan keys",
        seen=", ".join(f"{name} {samples[1][name]:.1f} MB {change:+.1%}" for name, change in growth.items())
        + f"; {len(faults)} orphans or drifts, {keys} keys left; {jobs / took:.0f} jobs/s",
        holds=all(abs(change) <= 0.05 for change in growth.values()) and not faults,
    )


def _submit(fleet: Arena, numbers: Sequence[int]) -> None:
    """Submit the clips from several clients at once, each with a connection of its own."""

    def one_client(share: Sequence[int]) -> None:
        with fleet.stack.client() as client:
            for number in share:
                client.post("/v1/jobs", content=clip(Animal.GOOD, number, seconds=0.1)).raise_for_status()

    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(one_client, [numbers[n::CLIENTS] for n in range(CLIENTS)]))


def _memory(fleet: Arena) -> dict[str, float]:
    """The memory of gateway, supervisor and Redis, in megabytes."""
    megabytes = {
        "gateway": psutil.Process(fleet.stack.gateways[0].pid).memory_info().rss,
        "supervisor": psutil.Process(fleet.stack.workers[0].pid).memory_info().rss,
        "Redis": fleet.redis.info("memory")["used_memory"],
    }
    return {name: size / 1e6 for name, size in megabytes.items()}
