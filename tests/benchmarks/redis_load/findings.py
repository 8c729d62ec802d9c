"""How many jobs a second one Redis bears, by its share of a core under the load that this machine can make."""

from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.redis_load.measurement import LOAD_SECONDS, SUPERVISORS, UNDER_WAY, Load, Measured, measure
from tests.report import Finding

#: The share of a core up to which a Redis can be used without long waits.
FULL = 0.7
MUST_JOBS, MUST_IDLE_MS, MUST_BUSY_MS = 600, 0.1, 0.4


def redis_load(folder: Path) -> Iterator[Finding]:
    """Up to 200 supervisors with a model that takes microseconds, and a gateway without HTTP, on one Redis with its file."""
    seen = measure(folder)
    wrong = ", ".join(f"{number:,} {what}" for what, number in seen.faults.items()) or "0 lost"
    for load in seen.loads:
        yield Finding(
            experiment=f"up to {SUPERVISORS} supervisors with an engine of microseconds, {UNDER_WAY} distinct {load.size} clips "
            f"under way for {LOAD_SECONDS:.0f} s, one Redis with appendfsync {load.setting}",
            must=f"0 lost; >= {MUST_JOBS} jobs/s of one Redis on a core of its own (jobs/s over its share of a core)",
            seen=f"{_rate(load, seen)}; {_costs(load, seen)}; {wrong} of {seen.acknowledged:,} acknowledged in all phases",
            holds=not seen.faults and load.on_own_core >= MUST_JOBS,
        )
    idle_ms, busy_ms = 1000 * seen.idle, 1000 * seen.busy
    yield Finding(
        experiment=f"processor time of Redis per second and supervisor, of up to {SUPERVISORS}",
        must=f"<= {MUST_IDLE_MS} ms idle, <= {MUST_BUSY_MS} ms with one job",
        seen=f"{idle_ms:.2f} ms idle, {busy_ms:.2f} ms with one job ({seen.supervisors} supervisors of "
        f"{seen.supervisor_bytes / 1e6:.0f} MB each, ready after {seen.start_seconds:.0f} s)",
        holds=idle_ms <= MUST_IDLE_MS and busy_ms <= MUST_BUSY_MS,
    )


def _rate(load: Load, seen: Measured) -> str:
    return (
        f"{load.on_own_core:.0f} jobs/s extrapolated ({FULL * load.on_own_core:.0f} at {FULL:.0%} of the core; at most "
        f"{load.beside_idle(seen.idle_share):.0f} if what idle supervisors cost is set apart): {load.per_second:.0f} jobs/s by "
        f"{seen.supervisors} supervisors took {load.share:.0%} of a core for Redis' main thread"
    )


def _costs(load: Load, seen: Measured) -> str:
    """What a job costs Redis, with and without the cost of the supervisors when they are idle; and the shares of the others."""
    cost = load.cost
    whole, idle = cost.redis / load.jobs, seen.idle_share * cost.time / load.jobs
    return (
        f"{1000 * whole:.2f} ms and {cost.commands / load.jobs:.0f} commands a job, {1000 * (whole - idle):.2f} ms without "
        f"what idle supervisors cost; Redis waited for the disk {load.disk.share:.0%} of the time; cores of its children "
        f"{cost.rewriting / cost.time:.2f}, of the supervisors {cost.supervisors / cost.time:.2f}, of the gateway "
        f"{cost.generator / cost.time:.2f}"
    )
