"""How long until another attempt runs after a worker is killed, its model process dies, or the worker is halted."""

import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.faults.experiments.arena import Arena, arena
from tests.faults.zoo import Animal
from tests.processes import Running, model_process, wait_until
from tests.report import Finding, p95, spread

AT_ONCE = 4
LONG_MS = 29_000


def recovery(folder: Path, times: int = 20) -> Iterator[Finding]:
    """Run the three experiments, each with a fleet of its own."""
    yield killed_workers(folder, times)
    yield dead_models(folder, times)
    yield zombie(folder)


def killed_workers(folder: Path, times: int) -> Finding:
    """Four workers are killed at a time, with four idle ones beside them, under the default lease."""
    took: list[float] = []
    with arena(folder / "killed", workers=2 * AT_ONCE) as fleet, fleet.kept_alive():
        for batch in range(times // AT_ONCE):
            ids = [fleet.submit(Animal.GOOD, 100 * batch + n, milliseconds=LONG_MS) for n in range(AT_ONCE)]
            victims = [fleet.worker_of(fleet.runs(job_id)) for job_id in ids]
            for victim in victims:
                fleet.stack.workers[victim].signal(signal.SIGKILL)
            killed = time.monotonic()
            with ThreadPoolExecutor(AT_ONCE) as watchers:
                took += watchers.map(lambda job_id, since=killed: _again(fleet, job_id, since), ids)
            for job_id in ids:
                fleet.client.delete(f"/v1/jobs/{job_id}")
            fleet.stack.wait_ready(2 * AT_ONCE)
        faults = fleet.faults()
    return Finding(
        experiment=f"kill -9 of a whole worker, default lease of 10 s, {times} times",
        must="running elsewhere: p50 <= 12 s, max <= 15 s",
        seen=spread(took) + _told(faults),
        holds=len(took) == times and sorted(took)[times // 2] <= 12 and max(took) <= 15 and not faults,
    )


def dead_models(folder: Path, times: int) -> Finding:
    """The only worker loses its model process during a decode; its supervisor starts another."""
    took: list[float] = []
    with arena(folder / "models") as fleet:
        for number in range(times):
            fleet.ended(fleet.submit(Animal.GOOD, 1000 + number))
            job_id = fleet.submit(Animal.GOOD, number, milliseconds=LONG_MS)
            fleet.runs(job_id)
            model_process(fleet.stack.workers[0].pid).kill()
            took.append(_again(fleet, job_id, time.monotonic()))
            fleet.client.delete(f"/v1/jobs/{job_id}")
        loads = start_seconds(fleet)
        faults = fleet.faults()
    beyond = p95(took) - p95(loads)
    return Finding(
        experiment=f"kill -9 of the model process, {times} times",
        must="running again: p95 <= 1 s + start of a model process",
        seen=f"{spread(took)}; a start alone {spread(loads)}" + _told(faults),
        holds=len(took) == times and beyond <= 1.0 and not faults,
    )


def zombie(folder: Path) -> Finding:
    """A supervisor is halted past its lease, and goes on while another worker has its job. Only the token tells them apart."""
    with arena(folder / "zombie", LEASE_SECONDS="2") as fleet:
        job_id = fleet.submit(Animal.SILENT, 9, milliseconds=2000)
        fleet.runs(job_id)
        sleeper = fleet.stack.workers[0]
        sleeper.signal(signal.SIGSTOP)
        other = fleet.stack.start_worker()
        fleet.until(job_id, "running", attempt=2, within=30)
        sleeper.signal(signal.SIGCONT)
        wait_until(lambda: any(_fenced_off(sleeper)), "it is fenced off", 15)
        after, totals = fleet.ended(job_id), fleet.totals()
        (refused, withdrawn), disturbed = _fenced_off(sleeper), sum(_fenced_off(other))
        faults = fleet.faults()
    right = after["attempt"] == 2 and after["result"]["transcript"] == "9"
    return Finding(
        experiment="zombie: SIGSTOP of a supervisor past its lease (2 s), then SIGCONT while another worker decodes its job",
        must="fenced off (its write refused, or its job withdrawn before it wrote), the other undisturbed, one terminal state, "
        "the right transcript",
        seen=f"{refused} writes refused, {withdrawn} jobs withdrawn before it wrote; {disturbed} of the other's; "
        f"completed {totals['completed']} time; transcript right: {right}" + _told(faults),
        holds=right and refused + withdrawn > 0 and not disturbed and totals["completed"] == 1 and not faults,
    )


def _fenced_off(worker: Running) -> tuple[int, int]:
    """How many writes of a worker were refused, and how many jobs were withdrawn from it before it wrote."""
    log = worker.log_text()
    return log.count('"write_refused"'), log.count('"job_withdrawn"')


def _again(fleet: Arena, job_id: str, since: float) -> float:
    """Seconds until the second attempt runs."""
    fleet.until(job_id, "running", attempt=2, within=30)
    return time.monotonic() - since


def start_seconds(fleet: Arena) -> list[float]:
    """Seconds from spawn to ready of every model process, from the worker's log."""
    lines = [json.loads(line) for line in fleet.stack.workers[0].log_text().splitlines() if '"model_ready"' in line]
    return [float(line["start_seconds"]) for line in lines]


def _told(faults: list[str]) -> str:
    return f"; ledger: {'; '.join(faults[:3])}" if faults else ""
