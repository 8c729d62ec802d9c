"""A fleet whose models misbehave on demand."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.zoo import Animal, clip
from tests.processes import Stack, redis_server, wait_until


class Zoo:
    """A stack with the zoo engine, and short ways to use it."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.client = stack.client()

    def submit(self, animal: Animal, number: int, milliseconds: int = 0, query: str = "") -> str:
        """Submit a clip; its id."""
        answer = self.client.post(f"/v1/jobs{query}", content=clip(animal, number, milliseconds)).raise_for_status()
        return str(answer.json()["job_id"])

    def job(self, job_id: str, wait: float = 0) -> dict[str, Any]:
        job: dict[str, Any] = self.client.get(f"/v1/jobs/{job_id}?wait={wait:g}").raise_for_status().json()
        return job

    def ended(self, job_id: str, timeout_seconds: float = 60) -> dict[str, Any]:
        """The job once it has ended."""
        wait_until(lambda: self.job(job_id, wait=2)["status"] not in ("queued", "running"), f"job {job_id} ends", timeout_seconds)
        return self.job(job_id)

    def runs(self, job_id: str) -> None:
        """Return once a worker has it."""
        wait_until(lambda: self.job(job_id)["status"] == "running", "the job runs")


@pytest.fixture
def zoo(tmp_path: Path) -> Iterator[Zoo]:
    """One gateway and one worker, leases of two seconds, a second of patience without progress."""
    environment = {"LEASE_SECONDS": "2", "WHISPER_ENGINE": "tests.faults.zoo:ZooEngine", "NO_PROGRESS_TIMEOUT_SECONDS": "1"}
    with redis_server(tmp_path) as server:
        stack = Stack(server=server, folder=tmp_path, environment=environment)
        try:
            stack.start_gateway()
            stack.start_worker()
            stack.wait_ready()
            zoo = Zoo(stack)
            yield zoo
            zoo.client.close()
        finally:
            stack.stop()
