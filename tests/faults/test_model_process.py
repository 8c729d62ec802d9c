"""Everything that a model can do to its process, and the effect on its job and on other jobs."""

import pytest

from tests.faults.experiments.arena import Arena
from tests.faults.zoo import Animal
from tests.processes import model_process, wait_until


@pytest.mark.parametrize(
    ("animal", "cause"), [(Animal.SEGFAULT, "SIGSEGV"), (Animal.ABORT, "SIGABRT"), (Animal.EXIT, "exit code 3")]
)
def test_a_clip_that_kills_its_process_is_quarantined_after_three_attempts(zoo: Arena, animal: Animal, cause: str) -> None:
    good = [zoo.submit(Animal.GOOD, number, milliseconds=20) for number in range(100, 110)]
    poison = zoo.submit(animal, 1)
    more = [zoo.submit(Animal.GOOD, number, milliseconds=20) for number in range(200, 210)]
    job = zoo.ended(poison)
    assert (job["status"], job["error"]["code"]) == ("failed", "poison_job")
    assert [note["attempt"] for note in job["attempts"]] == [1, 2, 3]
    assert all(cause in note["message"] for note in job["attempts"])
    heard = [zoo.ended(job_id)["result"]["transcript"] for job_id in [*good, *more]]
    assert heard == [str(n) for n in [*range(100, 110), *range(200, 210)]]


def test_a_hang_in_native_code_is_ended_within_the_limit(zoo: Arena) -> None:
    job_id = zoo.submit(Animal.HANG, 1)
    zoo.runs(job_id)
    wait_until(lambda: zoo.job(job_id)["attempts"], "the first attempt is given up", 3 + 0.1 + 1)
    job = zoo.ended(job_id)
    assert [note["code"] for note in job["attempts"]] == ["no_progress"] * 3
    assert zoo.ended(zoo.submit(Animal.GOOD, 7))["result"]["transcript"] == "7"


def test_an_exception_is_a_failure_without_content(zoo: Arena) -> None:
    job = zoo.ended(zoo.submit(Animal.RAISE, 1))
    assert (job["status"], job["error"]["code"]) == ("failed", "transcription_failed")
    assert "RuntimeError" in job["error"]["message"] and "content" not in job["error"]["message"]
    assert "which no log may show" not in zoo.stack.workers[0].log_text()


def test_a_cancelled_decode_frees_its_worker_within_a_second(zoo: Arena) -> None:
    for animal in (Animal.GOOD, Animal.SILENT):
        running = zoo.submit(animal, 1, milliseconds=20_000)
        waiting = zoo.submit(Animal.GOOD, 2 + animal)
        zoo.runs(running)
        zoo.client.delete(f"/v1/jobs/{running}").raise_for_status()
        wait_until(lambda job_id=waiting: zoo.job(job_id)["status"] == "completed", "the next job is done", 1 + 3)  # type: ignore[misc]
        killed = int(animal is Animal.SILENT)
        wait_until(lambda count=killed: kills(zoo) == count, f"{killed} processes were killed", 3)  # type: ignore[misc]


def kills(zoo: Arena) -> int:
    """How often the worker has killed its model process over a cancelled decode."""
    return zoo.stack.workers[0].log_text().count("a cancelled decode did not stop")


def test_a_cancelled_decode_is_waited_for_while_that_costs_less_than_a_new_process(zoo: Arena) -> None:
    zoo.stack.workers.pop().stop()
    zoo.stack.start_worker(ZOO_LOAD_SECONDS="3", NO_PROGRESS_TIMEOUT_SECONDS="30", WHISPER_BATCH_SIZE="1")
    zoo.stack.wait_ready()
    for milliseconds, killed in ((2000, 0), (20_000, 1)):
        running = zoo.submit(Animal.SILENT, 1, milliseconds)
        zoo.runs(running)
        zoo.client.delete(f"/v1/jobs/{running}").raise_for_status()
        assert zoo.ended(zoo.submit(Animal.GOOD, 2, milliseconds // 1000), within=3 + 3 + 5)["status"] == "completed"
        assert kills(zoo) == killed


def test_a_leaking_model_is_recycled_before_it_takes_the_machine(zoo: Arena) -> None:
    zoo.stack.workers.pop().stop()
    worker = zoo.stack.start_worker(RECYCLE_ABOVE_RSS_MB="400")
    zoo.stack.wait_ready()
    for number in range(8):
        job = zoo.ended(zoo.submit(Animal.LEAK, number))
        assert job["status"] == "completed", job
    wait_until(lambda: '"model_recycling"' in worker.log_text(), "it is recycled", 10)
    assert "model_died" not in worker.log_text()


def test_a_dead_letter_comes_back_by_its_owners_wish(zoo: Arena) -> None:
    job_id = zoo.submit(Animal.EXIT, 1)
    assert zoo.ended(job_id)["status"] == "failed"
    assert job_id in [job["job_id"] for job in zoo.client.get("/v1/jobs?status=failed").json()["jobs"]]
    again = zoo.client.post(f"/v1/jobs/{job_id}/retry")
    assert (again.status_code, again.json()["status"], again.json()["attempt"]) == (202, "queued", 0)
    assert zoo.ended(job_id)["status"] == "failed"
    done = zoo.submit(Animal.GOOD, 5)
    zoo.ended(done)
    assert zoo.client.post(f"/v1/jobs/{done}/retry").json()["code"] == "job_not_retryable"


@pytest.mark.parametrize("hangs", [True, False])
def test_an_idle_model_that_is_able_no_more_is_found_out_by_its_canary(zoo: Arena, hangs: bool) -> None:
    zoo.stack.workers.pop().stop()
    worker = zoo.stack.start_worker(CANARY_SECONDS="0.5")
    zoo.stack.wait_ready()
    if hangs:
        model_process(worker.pid).suspend()
    else:
        zoo.ended(zoo.submit(Animal.SICKEN, 1))
    told = "the canary was not answered" if hangs else '"reason": "RuntimeError", "event": "canary_failed"'
    wait_until(lambda: told in worker.log_text(), "it is found out", 0.5 + 10 + 8)
    wait_until(lambda: worker.log_text().count('"model_ready"') == 2, "it is replaced", 20)
    assert zoo.ended(zoo.submit(Animal.GOOD, 7))["result"]["transcript"] == "7"


def test_jobs_beside_a_hung_one_go_back_uncounted(zoo: Arena) -> None:
    zoo.stack.workers.pop().stop()
    hung = zoo.submit(Animal.SILENT, 1, milliseconds=20_000)
    good = [zoo.submit(Animal.GOOD, number, milliseconds=2500) for number in range(2, 5)]
    zoo.stack.start_worker()
    jobs = zoo.all_end(good, within=30)
    assert [(job["status"], job["attempt"], job["attempts"]) for job in jobs] == [("completed", 1, [])] * 3
    assert zoo.ended(hung)["error"]["code"] == "no_progress"


def test_jobs_beside_a_killer_get_away_with_one_attempt(zoo: Arena) -> None:
    zoo.stack.workers.pop().stop()
    poison = zoo.submit(Animal.SEGFAULT, 1)
    good = [zoo.submit(Animal.GOOD, number, milliseconds=300) for number in range(2, 8)]
    zoo.stack.start_worker()
    jobs = zoo.all_end(good, within=40)
    assert [job["status"] for job in jobs] == ["completed"] * 6
    assert max(job["attempt"] for job in jobs) <= 2
    assert [note["attempt"] for note in zoo.ended(poison)["attempts"]] == [1, 2, 3]
