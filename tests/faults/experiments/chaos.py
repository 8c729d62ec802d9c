"""Everything is killed again and again while jobs come in and are worked on."""

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tests.faults.experiments.arena import Arena, arena
from tests.faults.zoo import Animal
from tests.processes import DURABLE, model_process
from tests.report import Finding

KILL_EVERY_SECONDS = 1.5
DECODE_MS, CLIENTS = 200, 4
#: The killer, not the audio, is to blame here; with three attempts an unlucky job would rightly count as poison.
MAX_ATTEMPTS = "20"


class Killer:
    """Kills a random model process or supervisor at intervals, and gateways and Redis at their turns."""

    def __init__(self, fleet: Arena, seed: int) -> None:
        self._fleet, self._rng = fleet, random.Random(seed)
        self.killed: Counter[str] = Counter()

    def run(self, workers: int) -> None:
        """So many kills of workers; in between each gateway and Redis twice."""
        turns = self._turns(workers)
        for number in range(workers):
            time.sleep(KILL_EVERY_SECONDS)
            self._kill_a_worker()
            if number in turns:
                turns[number]()

    def _turns(self, workers: int) -> dict[int, Callable[[], None]]:
        acts = [partial(self._kill_gateway, number) for number in (0, 1, 0, 1)] + [partial(self._kill_redis)] * 2
        self._rng.shuffle(acts)
        return {(i + 1) * workers // (len(acts) + 1): act for i, act in enumerate(acts)}

    def _kill_a_worker(self) -> None:
        worker = self._rng.choice(self._fleet.stack.workers)
        if self._rng.random() < 0.5:
            worker.signal(signal.SIGKILL)
            self.killed["supervisors"] += 1
            return
        try:
            model_process(worker.pid).kill()
            self.killed["model processes"] += 1
        except (StopIteration, ProcessLookupError, OSError):
            worker.signal(signal.SIGKILL)
            self.killed["supervisors"] += 1

    def _kill_gateway(self, number: int) -> None:
        self._fleet.stack.gateways[number].signal(signal.SIGKILL)
        self.killed["gateways"] += 1

    def _kill_redis(self) -> None:
        self._fleet.stack.server.kill()
        time.sleep(0.5)
        self._fleet.stack.server.start()
        self.killed["Redis"] += 1


def chaos(folder: Path, jobs: int = 500, kills: int = 32, seed: int = 7) -> Iterator[Finding]:
    """Submits all through the killing, then waits for every acknowledged job and takes the ledger."""
    with arena(folder / "chaos", workers=3, gateways=2, redis_options=DURABLE, MAX_ATTEMPTS=MAX_ATTEMPTS) as fleet:
        killer, started = Killer(fleet, seed), time.monotonic()
        with fleet.kept_alive():
            ids = _submit_under_fire(fleet, killer, jobs, kills)
            ended = fleet.all_end(ids, within=120)
            took = time.monotonic() - started
            faults = fleet.faults(within=20)
        totals = fleet.totals()
    right = sum(job["status"] == "completed" and job["result"]["transcript"] == str(n) for n, job in enumerate(ended))
    settled = sum(totals.get(state, 0) for state in ("completed", "failed", "canceled", "expired"))
    killed = ", ".join(f"{count} {what}" for what, count in killer.killed.items())
    yield Finding(
        experiment=f"{jobs} jobs through 2 gateways to 3 workers (MAX_ATTEMPTS={MAX_ATTEMPTS}: the killer is to blame, not the "
        f"audio); kill -9 of {killed}",
        must=f"{jobs} of {jobs} acknowledged jobs completed with the right transcript, none ended twice, no orphan keys",
        seen=f"{right} of {len(set(ids))} right in {took:.0f} s, at most {max(job['attempt'] for job in ended)} attempts; "
        f"{settled - len(ids)} ended twice; {len(faults)} orphans or drifts {faults[:3] or ''}",
        holds=right == len(set(ids)) == jobs == settled and not faults,
    )


def _submit_under_fire(fleet: Arena, killer: Killer, jobs: int, kills: int) -> list[str]:
    """Spread over most of the killing, so that it meets jobs in every state."""
    pause_seconds = 0.8 * kills * KILL_EVERY_SECONDS * CLIENTS / jobs

    def submit(number: int) -> str:
        job_id = fleet.submit(Animal.GOOD, number, milliseconds=DECODE_MS)
        time.sleep(pause_seconds)
        return job_id

    killing = threading.Thread(target=killer.run, args=(kills,))
    killing.start()
    with ThreadPoolExecutor(CLIENTS) as clients:
        ids = list(clients.map(submit, range(jobs)))
    killing.join()
    return ids
