"""`make scaling`: how many workers a load needs, and how much load one Redis bears. Writes docs/scaling.md.

The cost of a job in Redis is measured here. Its time on a worker is read from docs/performance.md. The queue is simulated.
"""

import math
import random
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from shared.settings import GatewaySettings, WorkerSettings
from tests.benchmarks.scaling.queue_simulation import (
    BURST,
    BURST_SECONDS,
    BURST_SHARE,
    LONG_BURST_SECONDS,
    QUIET,
    SPREAD,
    WAIT_SECONDS,
    Trace,
    arrivals,
    long_burst,
    poisson,
    quantile,
    services,
    waits,
    workers_needed,
)
from tests.benchmarks.scaling.redis_costs import (
    BUSY,
    CLIP_BYTES,
    CLIP_SECONDS,
    IDLE,
    JOB,
    JOBS,
    Cost,
    Probe,
    all_costs,
    kept_bytes,
)
from tests.host import HostClock
from tests.processes import ROOT, redis_server
from tests.report import machine
from tests.script_driver import PREFIX
from worker.queue.bell import RING_SECONDS
from worker.supervising.intake import BUSY_LOOK_SECONDS, IDLE_LOOK_SECONDS
from worker.supervising.presence import BEATS_PER_LEASE

#: Redis options as in docker-compose.yml and `make up`.
AS_DEPLOYED = ("--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--hash-max-ziplist-value", "512")
ROUNDS = 3
#: Simulated seconds for each mean rate of submits (per second).
SECONDS = {1: 36_000, 10: 14_400, 100: 3_600, 1_000: 600}
SEEDS = range(5)
MANY_WORKERS = 500
#: The share of a core, and of a network, that one Redis may use; the network's bytes per second each way; sizes of its memory.
FULL, NETWORK_BYTES, GIGABYTES = 0.7, 10e9 / 8, (2, 64)


def measured(pattern: str) -> float:
    """A number from docs/performance.md, which `make bench` writes. Raises `LookupError` if no row matches."""
    found = re.search(pattern, (ROOT / "docs" / "performance.md").read_text())
    if found is None:
        raise LookupError(f"docs/performance.md has no row like {pattern!r}: run make bench")
    return float(found[1])


def service_times() -> dict[str, float]:
    """Seconds that a clip keeps a worker busy: number of workers / clips per second."""
    row = r"bursts of \d+ 3 s clips, shape of Whisper base, beam 5, {} encoder window: 2 workers of 1 thread.*? x: ([\d.]+) \("
    return {window: 2 / measured(row.format(window)) for window in ("full", "trimmed", "adaptive")}


def gateway_submits_per_second() -> float:
    """Submits per second that one gateway process takes."""
    return measured(r"submits of 96 KB clips per second to one gateway process.*? x: ([\d.]+) \(")


def span(values: Sequence[float], digits: int = 0) -> str:
    """Median and range over the seeds."""
    middle, low, high = (f"{value:,.{digits}f}" for value in (median(values), min(values), max(values)))
    return middle if low == high else f"{middle} ({low}-{high})"


def row(*cells: object) -> str:
    """A row of a table in Markdown."""
    return "| " + " | ".join(map(str, cells)) + " |"


def simulate(rate: int, times: dict[str, float]) -> Iterator[tuple[str, str]]:
    """For each window: the workers needed at this mean rate, and the queue wait with more and with fewer."""
    smooth, bursty = list[Trace](), list[Trace]()
    for seed in SEEDS:
        chance = random.Random(seed)
        for traces, came in ((bursty, arrivals(rate, SECONDS[rate], chance)), (smooth, poisson(rate, 0, SECONDS[rate], chance))):
            traces.append((came, services(len(came), chance)))
    for window, service in times.items():
        steady, needed = ([workers_needed(trace, service) for trace in traces] for traces in (smooth, bursty))
        count = int(median(needed))
        mark = "**" if count > MANY_WORKERS else ""
        load = rate * service
        busy = f"{100 * load / count:.0f} %"
        need = row(f"{rate:,}", window, span(steady), f"{mark}{span(needed)}{mark}", busy, f"{BURST * load:,.1f}")
        cells = [edge(bursty, service, few) for few in (math.floor(0.8 * count), count, math.ceil(1.5 * count))]
        yield need, row(f"{rate:,}", window, *cells, too_few(rate, service, math.floor(0.9 * count)))


def edge(traces: Sequence[Trace], service: float, workers: int) -> str:
    """Quantiles of the queue wait: medians over the seeds, and the range of the 95th."""
    if workers == 0:
        return "-"
    waited = [sorted(waits(trace, service, workers)) for trace in traces]
    p50, p95, p99 = ([quantile(ordered, q) for ordered in waited] for q in (0.5, 0.95, 0.99))
    return f"{workers:,}: {median(p50):.1f}, {span(p95, 1)}, {median(p99):.1f}"


def too_few(rate: int, service: float, workers: int) -> str:
    """The backlog that a long burst leaves, and how long it takes to drain."""
    if workers == 0:
        return "-"
    backlogs, drained = zip(*(long_burst(rate, service, workers, seed) for seed in SEEDS), strict=True)
    return f"{workers:,}: {span(backlogs)} jobs, {span(drained)} s"


def capacity_row(window: str, each: Cost, service: float) -> str:
    """The load at which one Redis is full, if each job costs it this much, including the job's share of a worker's cost."""
    core = FULL * 1e6 / each.cpu_us
    network = FULL * NETWORK_BYTES / max(each.bytes_in, each.bytes_out)
    servers = math.ceil(BURST * max(SECONDS) / core)
    return row(window, f"{each.cpu_us:,.0f}", f"{core:,.0f}", f"{core * service:,.0f}", f"{network:,.0f}", servers)


def memory_rows(waiting: float, done: float, gone: float) -> Iterator[str]:
    """Mean submits per second whose records fit beside a full queue, by how long the records are kept."""
    fleet = GatewaySettings(fleet_prefix=PREFIX)
    for result, after in ((fleet.result_ttl_seconds, fleet.gone_ttl_seconds), (3_600, 86_400), (600, 3_600)):
        each = (done - gone) * result + gone * after
        fits = [f"{(size * 1e9 - waiting_limit() * waiting) / each:,.1f}" for size in GIGABYTES]
        yield row(f"{result:,}", f"{after:,}", f"{each / 1e6:,.1f}", *fits)


def waiting_limit() -> int:
    """How many clips wait when submits begin to be answered 429."""
    fleet = GatewaySettings(fleet_prefix=PREFIX)
    return int(min(fleet.max_queue_bytes / CLIP_BYTES, fleet.max_queue_audio_seconds / CLIP_SECONDS))


def cost_row(name: str, rounds: Sequence[Cost]) -> str:
    """Medians over the rounds, and the range of processor time, which other programs disturb."""
    commands, bytes_in, bytes_out, cpu_us = zip(*rounds, strict=True)
    return row(name, f"{median(commands):,.0f}", f"{median(bytes_in):,.0f}", f"{median(bytes_out):,.0f}", span(cpu_us))


def redis_values(times: dict[str, float]) -> dict[str, Any]:
    """Measure Redis; the page's values about it."""
    clock = HostClock()
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder), *AS_DEPLOYED) as server:
        waiting, new, done, gone = kept_bytes(Probe(server.client(), enable_cache=False))
        s, rounds = WorkerSettings(), list[dict[str, Cost]]()
        for _ in range(ROUNDS):
            server.client().flushall()
            rounds.append(all_costs(Probe(server.client()), s.lease_seconds))
    withheld, costs = clock.withheld(), {name: [costs[name] for costs in rounds] for name in rounds[0]}
    job, idle, busy = (Cost(*map(median, zip(*costs[name], strict=True))) for name in (JOB, IDLE, BUSY))
    takes = gateway_submits_per_second()
    return {
        "costs": "\n".join(cost_row(*item) for item in costs.items()),
        "all_idle": 100 * MANY_WORKERS * idle.cpu_us / 1e6, "all_busy": 100 * MANY_WORKERS * busy.cpu_us / 1e6,
        "capacity": "\n".join(capacity_row(window, job.plus(busy, service), service) for window, service in times.items()),
        "waiting": waiting / 1e3, "new": new / 1e3,
        "done": done / 1e3, "gone": gone, "memory": "\n".join(memory_rows(waiting, done, gone)),
        "takes": takes, "gateways": math.ceil(BURST * max(SECONDS) / takes / FULL),
        "beat": s.lease_seconds / BEATS_PER_LEASE, "batch": s.whisper_batch_size, "withheld": withheld,
    }  # fmt: skip


def queue_values(times: dict[str, float]) -> dict[str, Any]:
    """Simulate the queue; the page's values about it."""
    tables = [table for rate in SECONDS for table in simulate(rate, times)]
    simulated = ", ".join(f"{seconds / 60:,.0f} min at {rate:,}/s" for rate, seconds in SECONDS.items())
    return {
        "needs": "\n".join(need for need, _ in tables), "edges": "\n".join(edges for _, edges in tables),
        "spread": 100 * SPREAD, "burst": BURST, "burst_seconds": BURST_SECONDS, "share": 100 * BURST_SHARE, "quiet": QUIET,
        "in_bursts": 100 * BURST * BURST_SHARE, "seeds": len(SEEDS), "simulated": simulated, "limit": waiting_limit(),
        "long": LONG_BURST_SECONDS,
        "cycles": SECONDS[max(SECONDS)] * BURST_SHARE / BURST_SECONDS,
    }  # fmt: skip


def page() -> str:
    """Measure, simulate, and fill in the page."""
    template = Path(__file__).with_name("page.md").read_text()
    times = service_times()
    constants = {
        "machine": machine(), "jobs": JOBS, "rounds": ROUNDS, "clip": CLIP_BYTES, "wait": WAIT_SECONDS, "many": MANY_WORKERS,
        "busy_look": BUSY_LOOK_SECONDS, "idle_look": IDLE_LOOK_SECONDS, "ring": RING_SECONDS, "core": 100 * FULL,
        "top": max(SECONDS), "small": GIGABYTES[0], "large": GIGABYTES[1],
    }  # fmt: skip
    return template.format(**times, **constants, **redis_values(times), **queue_values(times))


if __name__ == "__main__":
    (ROOT / "docs" / "scaling.md").write_text(page())
