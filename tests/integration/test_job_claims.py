"""Who gets how many jobs, and who must be alone."""

import pytest

from tests.script_driver import KEYS, ScriptDriver


def submit(fleet: ScriptDriver, names: str) -> None:
    for name in names:
        fleet.submit(name)


def ids(jobs: list[dict[str, str]]) -> str:
    return "".join(job["id"] for job in jobs)


def announce(fleet: ScriptDriver, workers: int) -> None:
    seconds, _ = fleet.redis.time()
    fleet.redis.zadd(KEYS.workers, {f"w{n}": seconds * 1000 for n in range(workers)})


@pytest.mark.parametrize(
    ("workers", "room", "taken"), [(1, 8, "abcdef"), (1, 4, "abcd"), (2, 8, "abc"), (4, 8, "ab"), (9, 8, "a")]
)
def test_a_worker_takes_its_share_of_what_waits(fleet: ScriptDriver, workers: int, room: int, taken: str) -> None:
    submit(fleet, "abcdef")
    announce(fleet, workers)
    claimed = fleet.claim_several(room)
    assert ids(claimed) == taken
    assert len({job["token"] for job in claimed}) == len(taken)
    assert fleet.load()[0] == len(fleet.waiting()) == 6 - len(taken)


def test_a_lost_answer_is_given_again_whole(fleet: ScriptDriver) -> None:
    submit(fleet, "abcd")
    first = fleet.claim_several(3)
    again = fleet.claim_several(3, again=True)
    assert sorted(ids(again)) == sorted(ids(first)) == ["a", "b", "c"]
    assert ids(fleet.claim_several(3)) == "d"


def test_a_job_with_a_bad_attempt_behind_it_runs_alone(fleet: ScriptDriver) -> None:
    submit(fleet, "abc")
    fleet.fail("a", fleet.claim()["token"], retryable=True)
    assert fleet.waiting() == ["a", "b", "c"]
    assert fleet.claim_several(8, busy=True) == [], "not beside others"
    assert fleet.waiting() == ["a", "b", "c"] and fleet.load()[0] == 3
    assert ids(fleet.claim_several(8)) == "a", "and nobody with it"
    assert ids(fleet.claim_several(8, "w2")) == "bc"


def test_a_worker_has_one_long_job_at_a_time_and_short_ones_overtake(fleet: ScriptDriver) -> None:
    for name, seconds in (("a", 90.0), ("b", 2.0), ("c", 100.0), ("d", 2.0)):
        fleet.submit(name, job={"audio_seconds": seconds}, max_audio_ms=10**9)
    assert ids(fleet.claim_several(8)) == "abd"
    assert fleet.waiting() == ["c"] and fleet.load()[0] == 1
    assert fleet.claim_several(8, busy=True, has_long=True) == []
    assert ids(fleet.claim_several(8, "w2")) == "c"


def test_nobody_joins_a_batch_with_a_bad_attempt_behind_it(fleet: ScriptDriver) -> None:
    submit(fleet, "ab")
    tokens = {job["id"]: job["token"] for job in fleet.claim_several(2)}
    fleet.fail("b", tokens["b"], retryable=True)
    submit(fleet, "c")
    fleet.hand_back("a", tokens["a"])
    assert fleet.waiting() == ["a", "b", "c"]
    assert ids(fleet.claim_several(8)) == "a"
    assert fleet.waiting() == ["b", "c"]
