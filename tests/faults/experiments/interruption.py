"""Decodes that are interrupted: cancelled, hung, handed back on SIGTERM, or ended by a crash of their process."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

from tests.faults.experiments.arena import arena
from tests.faults.experiments.recovery import LONG_MS, start_seconds
from tests.faults.zoo import Animal
from tests.processes import model_process, wait_until
from tests.report import Finding, p95, spread

NO_PROGRESS_SECONDS = 1.0
DRAIN_SECONDS = 0.5
AT_ONCE = 4


def interruption(folder: Path, times: int = 20) -> Iterator[Finding]:
    """Run the experiments, each with a fleet of its own."""
    yield from cancelled(folder, times)
    yield hung(folder)
    yield drained(folder, times)
    yield poisoned(folder)


def cancelled(folder: Path, times: int) -> Iterator[Finding]:
    """A running decode is cancelled while another job waits. Half of the decodes stop by themselves; half must be killed."""
    took: dict[Animal, list[float]] = {Animal.GOOD: [], Animal.SILENT: []}
    freed: list[float] = []
    with arena(folder / "cancelled", WHISPER_BATCH_SIZE="1") as fleet:
        for number in range(times):
            animal = (Animal.GOOD, Animal.SILENT)[number % 2]
            running = fleet.submit(animal, number, milliseconds=LONG_MS)
            fleet.runs(running)
            model = model_process(fleet.stack.workers[0].pid)
            waiting = fleet.submit(Animal.GOOD, 1000 + number, milliseconds=100)
            started = time.monotonic()
            assert fleet.client.delete(f"/v1/jobs/{running}").json()["status"] == "canceled"
            if animal is Animal.SILENT:
                model.wait(10)
                freed.append(time.monotonic() - started)
            fleet.until(waiting, "running", "completed")
            took[animal].append(time.monotonic() - started)
            fleet.ended(waiting)
        faults, start = fleet.faults(), max(start_seconds(fleet))
        killed = fleet.stack.workers[0].log_text().count('"model_killed"')
    stops, kills = took[Animal.GOOD], took[Animal.SILENT]
    yield Finding(
        experiment=f"cancel of a decode that shows segments, {len(stops)} times",
        must="worker busy with the next job: p95 <= 1 s",
        seen=spread(stops),
        holds=p95(stops) <= 1.0 and not faults,
    )
    yield Finding(
        experiment=f"cancel of a decode that is deaf in native code, {len(kills)} times",
        must="process gone: p95 <= 1 s + start of a model process; worker busy with the next job: p95 <= 1 s + twice that start",
        seen=f"gone {spread(freed)}; busy {spread(kills)}; {killed} processes killed, a start alone up to {start:.2f} s",
        holds=p95(freed) <= 1.0 + start and p95(kills) <= 1.0 + 2 * start and killed == len(kills) and not faults,
    )


def hung(folder: Path) -> Finding:
    """A decode hangs in native code and holds the interpreter lock."""
    with arena(folder / "hung", NO_PROGRESS_TIMEOUT_SECONDS=str(NO_PROGRESS_SECONDS), MAX_ATTEMPTS="1") as fleet:
        job_id = fleet.submit(Animal.HANG, 1)
        fleet.runs(job_id)
        started = time.monotonic()
        job = fleet.ended(job_id)
        took = time.monotonic() - started
        after = fleet.ended(fleet.submit(Animal.GOOD, 2))
        faults = fleet.faults()
    limit = NO_PROGRESS_SECONDS + 0.1 * job["audio"]["seconds"]
    return Finding(
        experiment="hung decode",
        must="killed within the limit + 2 s, worker able afterwards",
        seen=f"{took:.2f} s with a limit of {limit:.1f} s; next job {after['status']}",
        holds=took <= limit + 2 and job["attempts"][0]["code"] == "no_progress" and after["status"] == "completed" and not faults,
    )


def drained(folder: Path, times: int) -> Finding:
    """Busy workers get SIGTERM, four at a time. Other workers take over the jobs that did not end within the grace period."""
    took, codes = [], []
    with arena(folder / "drained", workers=AT_ONCE, DRAIN_SECONDS=str(DRAIN_SECONDS), WHISPER_BATCH_SIZE="1") as fleet:
        ids = [fleet.submit(Animal.GOOD, number, milliseconds=3000) for number in range(times + AT_ONCE)]
        for _ in range(times // AT_ONCE):
            wait_until(lambda: fleet.client.get("/stats").json()["in_flight"] == AT_ONCE, "all are busy", 30)
            leaving = list(fleet.stack.workers)
            for worker in leaving:
                worker.signal(signal.SIGTERM)
            started = time.monotonic()
            wait_until(lambda: fleet.client.get("/stats").json()["in_flight"] == 0, "all is handed back", 30, 0.01)
            took.append(time.monotonic() - started - DRAIN_SECONDS)
            codes += [worker.wait(10) for worker in leaving]
            for number in range(AT_ONCE):
                fleet.stack.restart_worker(number)
        ended = fleet.all_end(ids, within=90)
        counted, faults = sum(job["attempt"] - 1 for job in ended), fleet.faults()
    lost = sum(job["status"] != "completed" for job in ended)
    return Finding(
        experiment=f"SIGTERM of a busy worker, {len(codes)} times ({DRAIN_SECONDS:g} s to drain)",
        must="0 jobs lost, 0 attempts counted, handed back <= 1 s after the grace period, exit code 0",
        seen=f"{lost} lost, {counted} counted, the last of four handed back after {spread(took)}; exit codes {set(codes)}",
        holds=not lost and not counted and max(took) <= 1.0 and set(codes) == {0} and not faults,
    )


def poisoned(folder: Path, good: int = 100) -> Finding:
    """One clip makes the model segfault; a hundred other clips do not."""
    with arena(folder / "poisoned", workers=2) as fleet:
        ids = [fleet.submit(Animal.GOOD, number, milliseconds=20) for number in range(good // 2)]
        poison = fleet.submit(Animal.SEGFAULT, 1)
        ids += [fleet.submit(Animal.GOOD, number, milliseconds=20) for number in range(good // 2, good)]
        job, ended = fleet.ended(poison), fleet.all_end(ids, within=60)
        faults = fleet.faults()
    right = sum(j["status"] == "completed" and j["result"]["transcript"] == str(n) for n, j in enumerate(ended))
    named = all("SIGSEGV" in note["message"] for note in job["attempts"])
    code = job["error"]["code"]
    return Finding(
        experiment=f"a clip that makes the model segfault, among {good} good ones",
        must=f"3 attempts, `failed` / `poison_job` with the signal named; the {good} complete",
        seen=f"{len(job['attempts'])} attempts, `{job['status']}` / `{code}`, SIGSEGV named: {named}; {right} of {good} complete",
        holds=len(job["attempts"]) == 3 and code == "poison_job" and named and right == good and not faults,
    )
