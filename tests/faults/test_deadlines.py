"""Deadlines hold whether or not a worker is there."""

import time

from tests.faults.experiments.arena import Arena
from tests.faults.zoo import Animal


def test_a_job_that_nobody_starts_in_time_expires_without_any_worker(zoo: Arena) -> None:
    zoo.stack.workers.pop().stop()
    job_id = zoo.submit(Animal.GOOD, 1, query="?start_deadline_seconds=1")
    started = time.monotonic()
    assert zoo.job(job_id, wait=20)["status"] == "expired", "the long-poll wakes"
    assert time.monotonic() - started < 1 + 3
    assert zoo.client.get(f"/v1/jobs/{job_id}/result").json()["code"] == "job_expired"
    assert zoo.client.post(f"/v1/jobs/{job_id}/retry").json()["status"] == "queued"


def test_a_running_job_is_ended_at_its_deadline_and_frees_its_worker(zoo: Arena) -> None:
    late = zoo.submit(Animal.GOOD, 1, milliseconds=20_000, query="?deadline_seconds=2")
    following = zoo.submit(Animal.GOOD, 2)
    zoo.runs(late)
    job = zoo.job(late, wait=20)
    assert (job["status"], job["attempts"][-1]["code"]) == ("expired", "deadline_passed")
    assert zoo.job(following, wait=10)["status"] == "completed"
