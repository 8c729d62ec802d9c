"""What a worker is told, it need not ask for. What it was not told, its next beat finds."""

import time

from shared.jobs.keys import Keys
from shared.jobs.lanes import Lane
from tests.faults.experiments.arena import Arena
from tests.faults.experiments.ledger import PREFIX
from tests.faults.zoo import Animal
from tests.processes import wait_until

KEYS = Keys(PREFIX)


def test_a_worker_stops_a_cancelled_decode_at_once(zoo: Arena) -> None:
    running = zoo.submit(Animal.GOOD, 1, milliseconds=20_000)
    zoo.runs(running)
    worker = zoo.stack.workers[0]
    started = time.perf_counter()
    assert zoo.client.delete(f"/v1/jobs/{running}").status_code == 200
    wait_until(
        lambda: f'"job_id": "{running}"' in worker.log_text() and "job_withdrawn" in worker.log_text(), "it is told", 5, 0.01
    )
    assert time.perf_counter() - started < 0.5, "a beat, which would find it too, comes later"


def test_a_cancel_whose_message_is_lost_is_found_by_the_next_beat(zoo: Arena) -> None:
    running = zoo.submit(Animal.GOOD, 2, milliseconds=20_000)
    zoo.runs(running)
    zoo.redis.hset(KEYS.job(running), "token", 10**6)
    wait_until(lambda: zoo.stack.workers[0].log_text().count("job_withdrawn") == 1, "its beat tells", 3)


def test_an_idle_worker_finds_a_job_for_which_it_has_not_heard_the_bell(zoo: Arena) -> None:
    lane = KEYS.lane("zoo", Lane.INTERACTIVE)
    assert zoo.ended(zoo.submit(Animal.GOOD, 3))["status"] == "completed"
    zoo.redis.rpush(KEYS.bell(lane), *["taken"] * 50)
    wait_until(lambda: not zoo.redis.exists(KEYS.bell(lane)), "the worker has heard all these", 10)
    job_id = zoo.submit(Animal.GOOD, 4)
    assert zoo.ended(job_id, within=3)["status"] == "completed"


def test_an_idle_worker_asks_redis_for_next_to_nothing(zoo: Arena) -> None:
    """Beats, and a wait of four seconds for the bell: nothing is claimed in vain."""
    assert zoo.ended(zoo.submit(Animal.GOOD, 5))["status"] == "completed"
    before = _calls(zoo)
    time.sleep(3)
    asked = {name: calls - before.get(name, 0) for name, calls in _calls(zoo).items()}
    assert asked.get("lpop", 0) == 0 and asked.get("blpop", 0) <= len(zoo.stack.workers)


def _calls(zoo: Arena) -> dict[str, int]:
    """How often each command was called, also by scripts."""
    stats = zoo.redis.info("commandstats")
    return {name.removeprefix("cmdstat_"): int(about["calls"]) for name, about in stats.items()}
