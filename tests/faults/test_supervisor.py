"""Whole workers that are killed, stopped for a while, or told to leave."""

import signal
from pathlib import Path

import pytest

from tests.faults.experiments.arena import Arena
from tests.faults.experiments.recovery import zombie
from tests.faults.zoo import Animal
from tests.processes import wait_until


def test_a_killed_worker_is_replaced_within_its_lease_and_a_sweep(zoo: Arena) -> None:
    job_id = zoo.submit(Animal.SILENT, 5, milliseconds=900)
    zoo.runs(job_id)
    victim = zoo.stack.workers.pop()
    victim.signal(signal.SIGKILL)
    victim.wait()
    zoo.stack.start_worker()
    job = zoo.ended(job_id)
    assert (job["status"], job["result"]["transcript"], job["attempt"]) == ("completed", "5", 2)
    assert job["attempts"][0]["code"] == "worker_lost"


def test_a_zombie_is_fenced_off(tmp_path: Path) -> None:
    finding = zombie(tmp_path)
    assert finding.holds, finding.seen


@pytest.mark.parametrize("second_signal", [False, True])
def test_sigterm_hands_back_uncounted_and_leaves_with_zero(zoo: Arena, second_signal: bool) -> None:
    zoo.stack.workers.pop().stop()
    worker = zoo.stack.start_worker(DRAIN_SECONDS="30" if second_signal else "0.5", WHISPER_BATCH_SIZE="1")
    zoo.stack.wait_ready()
    running, waiting = zoo.submit(Animal.GOOD, 1, milliseconds=20_000), zoo.submit(Animal.GOOD, 2)
    zoo.runs(running)
    worker.signal(signal.SIGTERM)
    if second_signal:
        wait_until(lambda: '"draining"' in worker.log_text(), "it drains")
        worker.signal(signal.SIGTERM)
    assert worker.wait(0.5 + 1 + 2) == 0
    zoo.stack.workers.remove(worker)
    assert [(zoo.job(i)["status"], zoo.job(i)["attempt"]) for i in (running, waiting)] == [("queued", 0), ("queued", 0)]
    assert zoo.job(running)["position"] == 1, "the job goes back to the front of its lane"


def test_sigterm_lets_a_short_decode_finish(zoo: Arena) -> None:
    running = zoo.submit(Animal.GOOD, 1, milliseconds=1500)
    zoo.runs(running)
    worker = zoo.stack.workers.pop()
    worker.signal(signal.SIGTERM)
    assert worker.wait(10) == 0
    assert zoo.job(running)["status"] == "completed"
