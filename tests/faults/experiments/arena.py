"""A fleet for experiments: gateways and workers with the zoo's models, which are started again when they die."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx

from tests.faults.experiments.ledger import Ledger
from tests.faults.zoo import Animal, clip
from tests.processes import WITHOUT_FILES, Stack, running_stack, wait_until

#: How long a client tries to submit a job: as long as it must while all processes are being killed.
SUBMIT_SECONDS = 60.0


class Arena:
    """One fleet, and the calls that experiments make."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.clients = [stack.client(gateway) for gateway in range(len(stack.urls))]
        self.client = self.clients[0]
        self.redis = stack.server.client()

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self.redis.close()

    def submit(self, animal: Animal, number: int, milliseconds: int = 0, query: str = "") -> str:
        """Submit a job and return its id. After a refusal the next gateway is asked with the same key, until one acknowledges."""
        content, key = clip(animal, number, milliseconds), f"{animal}-{number}-{milliseconds}{query}"
        gateways, ids = cycle(self.clients[number % len(self.clients) :] + self.clients), list[str]()

        def acknowledged() -> bool:
            try:
                answer = next(gateways).post(f"/v1/jobs{query}", content=content, headers={"Idempotency-Key": key}, timeout=5)
            except httpx.TransportError:
                return False
            if answer.status_code < 500:
                ids.append(str(answer.raise_for_status().json()["job_id"]))
            return bool(ids)

        wait_until(acknowledged, f"job {number} is acknowledged", SUBMIT_SECONDS, 0.1)
        return ids[0]

    def job(self, job_id: str, wait: float = 0) -> dict[str, Any]:
        job: dict[str, Any] = self.client.get(f"/v1/jobs/{job_id}?wait={wait:g}").raise_for_status().json()
        return job

    def until(self, job_id: str, *states: str, attempt: int = 0, within: float = 60.0) -> dict[str, Any]:
        """The job as soon as it is in one of the states, at that attempt or a later one."""
        seen: dict[str, Any] = {}

        def there() -> bool:
            seen.update(self.job(job_id))
            return seen["status"] in states and seen["attempt"] >= attempt

        wait_until(there, f"job {job_id} is {' or '.join(states)}", within, 0.02)
        return seen

    def ended(self, job_id: str, within: float = 60.0) -> dict[str, Any]:
        """The job once it has ended."""
        return self.all_end([job_id], within)[0]

    def runs(self, job_id: str) -> dict[str, Any]:
        """The job once a worker runs it."""
        return self.until(job_id, "running")

    def all_end(self, ids: Sequence[str], within: float) -> list[dict[str, Any]]:
        """The jobs once all have ended. Gateways may fail meanwhile."""
        deadline, jobs = time.monotonic() + within, dict[str, dict[str, Any]]()

        def ended(job_id: str) -> bool:
            try:
                jobs[job_id] = self.job(job_id, wait=5)
            except httpx.HTTPError:
                return False
            return jobs[job_id]["status"] not in ("queued", "running")

        for job_id in ids:
            wait_until(partial(ended, job_id), f"job {job_id} ends", max(0.0, deadline - time.monotonic()), 0.1)
        return [jobs[job_id] for job_id in ids]

    def ledger(self) -> Ledger:
        """A ledger of all keys as they are now."""
        return Ledger(self.redis)

    def faults(self, within: float = 5.0) -> list[str]:
        """The faults that the ledger still finds after `within` seconds. One look may find others: keys change while it reads."""
        found: list[str] = []

        def clean() -> bool:
            found[:] = self.ledger().faults()
            return not found

        with suppress(AssertionError):
            wait_until(clean, "the books are closed", within, 0.2)
        return found

    def totals(self) -> dict[str, int]:
        counted: dict[str, int] = self.client.get("/stats").json()["totals"]
        return counted

    def worker_of(self, job: dict[str, Any]) -> int:
        """The index of the worker process that has the job. A worker's name holds its process id."""
        pid = int(job["worker"].rsplit("-", 2)[1])
        return next(number for number, worker in enumerate(self.stack.workers) if worker.pid == pid)

    @contextmanager
    def kept_alive(self) -> Iterator[None]:
        """Meanwhile every process that dies is started again, like a container with `restart: always`."""
        leaving = threading.Event()

        def keep() -> None:
            while not leaving.wait(0.2):
                for number, worker in enumerate(self.stack.workers):
                    if worker.process.poll() is not None:
                        self.stack.restart_worker(number)
                for number, gateway in enumerate(self.stack.gateways):
                    if gateway.process.poll() is not None:
                        self.stack.restart_gateway(number)

        keeper = threading.Thread(target=keep, daemon=True)
        keeper.start()
        try:
            yield
        finally:
            leaving.set()
            keeper.join(10)


@contextmanager
def arena(
    folder: Path, *, workers: int = 1, gateways: int = 1, redis_options: tuple[str, ...] = WITHOUT_FILES, **settings: str
) -> Iterator[Arena]:
    """A running fleet with the zoo's models. `settings` as in the environment."""
    environment = {"WHISPER_ENGINE": "tests.faults.zoo:ZooEngine", "WHISPER_MODEL": "zoo"} | settings
    with (
        running_stack(folder, workers=workers, gateways=gateways, redis_options=redis_options, **environment) as stack,
        closing(Arena(stack)) as made,
    ):
        yield made
