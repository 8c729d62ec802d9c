"""How many jobs a worker gets by one claim, and which jobs must run alone."""

from typing import Any

import pytest

from shared.jobs.lanes import Lane
from tests.script_driver import KEYS, LANE, LONG_LANE, ScriptDriver


def submit(fleet: ScriptDriver, names: str) -> None:
    for name in names:
        fleet.submit(name)


def ids(jobs: list[dict[str, str]]) -> str:
    return "".join(job["id"] for job in jobs)


def announce(fleet: ScriptDriver, workers: int, model: str = "demo", device: str = "cpu") -> None:
    seconds, _ = fleet.redis.time()
    fleet.redis.zadd(KEYS.workers_on(device, model), {f"{device}{n}": seconds * 1000 for n in range(workers)})


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


@pytest.mark.parametrize(
    ("in_hand", "waiting", "taken"),
    [
        (7, 16, "a"),  # there are enough jobs for both workers
        (7, 8, "a"),
        (7, 7, ""),  # the other worker will soon be idle, and would have no job
        (4, 4, ""),
        (4, 6, "a"),
        (3, 1, "a"),  # a worker may always have a few jobs
        (2, 6, "ab"),
        (1, 3, "ab"),  # not all three: the other worker may be idle
        (0, 1, "a"),
    ],
)
def test_who_is_busy_leaves_others_their_share(fleet: ScriptDriver, in_hand: int, waiting: int, taken: str) -> None:
    submit(fleet, "abcdefghijklmnop"[:waiting])
    announce(fleet, 2)
    assert ids(fleet.claim_several(8 - in_hand, urgent_in_hand=in_hand, urgent_few=4)) == taken


def test_only_who_serves_the_same_lanes_has_a_share(fleet: ScriptDriver) -> None:
    submit(fleet, "abcdefgh")
    announce(fleet, 1)
    announce(fleet, 3, device="cuda")
    announce(fleet, 7, model="other")
    assert ids(fleet.claim_several(8)) == "ab"
    assert ids(fleet.claim_several(8, peer_devices=["cpu"])) == "cdefgh"


def test_a_worker_alone_takes_all_that_it_has_room_for(fleet: ScriptDriver) -> None:
    submit(fleet, "abc")
    announce(fleet, 1)
    assert ids(fleet.claim_several(8 - 5, urgent_in_hand=5, urgent_few=4)) == "abc"


def test_short_and_background_jobs_are_shared_apart(fleet: ScriptDriver) -> None:
    """A worker that has its share of a long file may still take its share of the short jobs, and the other way round."""
    submit(fleet, "ab")
    for name in "xy":
        fleet.submit(name, lane=LONG_LANE)
    announce(fleet, 2)
    assert ids(fleet.claim_several(5, background_in_hand=3, urgent_few=4, background_few=2)) == "a"
    assert ids(fleet.claim_several(1, "w2")) == "b"
    assert ids(fleet.claim_several(4, urgent_in_hand=4, urgent_few=4, background_few=2)) == "x"


def test_nothing_in_the_background_is_begun_while_short_audio_waits(fleet: ScriptDriver) -> None:
    fleet.submit("x", lane=LONG_LANE)
    submit(fleet, "abcdef")
    assert ids(fleet.claim_several(8, urgent_room=3)) == "abc"
    assert ids(fleet.claim_several(5, urgent_in_hand=3, urgent_room=0)) == ""
    assert ids(fleet.claim_several(8, urgent_room=3)) == "defx"


def test_a_lost_answer_is_given_again_whole(fleet: ScriptDriver) -> None:
    submit(fleet, "abcd")
    first = fleet.claim_several(3)
    again = fleet.claim_several(3, again=True)
    assert sorted(ids(again)) == sorted(ids(first)) == ["a", "b", "c"]
    assert ids(fleet.claim_several(3)) == "d"


def test_a_job_that_may_have_ended_a_process_runs_alone(fleet: ScriptDriver) -> None:
    submit(fleet, "abc")
    fleet.fail("a", fleet.claim()["token"], retryable=True, code="poison_job")
    assert fleet.waiting() == ["a", "b", "c"]
    assert fleet.claim_several(8, urgent_in_hand=1) == [], "the suspect does not run beside other jobs"
    assert fleet.waiting() == ["a", "b", "c"] and fleet.load()[0] == 3
    assert ids(fleet.claim_several(8)) == "a", "no other job is claimed with the suspect"
    assert ids(fleet.claim_several(8, "w2")) == "bc"


def test_a_worker_has_one_long_job_at_a_time_and_short_ones_overtake(fleet: ScriptDriver) -> None:
    for name, seconds in (("a", 90.0), ("b", 2.0), ("c", 100.0), ("d", 2.0)):
        fleet.submit(name, job={"audio_seconds": seconds}, max_audio_ms=10**9)
    assert ids(fleet.claim_several(8)) == "abd"
    assert fleet.waiting() == ["c"] and fleet.load()[0] == 1
    assert fleet.claim_several(8, background_in_hand=1, has_long=True) == []
    assert ids(fleet.claim_several(8, "w2")) == "c"


def test_nobody_who_may_have_ended_a_process_joins_others(fleet: ScriptDriver) -> None:
    submit(fleet, "ab")
    tokens = {job["id"]: job["token"] for job in fleet.claim_several(2)}
    fleet.fail("b", tokens["b"], retryable=True, code="no_progress")
    submit(fleet, "c")
    fleet.hand_back("a", tokens["a"])
    assert fleet.waiting() == ["a", "b", "c"]
    assert ids(fleet.claim_several(8)) == "a"
    assert fleet.waiting() == ["b", "c"]


def test_others_do_not_wait_for_a_suspect_beside_a_long_job(fleet: ScriptDriver) -> None:
    submit(fleet, "abc")
    fleet.fail("a", fleet.claim()["token"], retryable=True, code="poison_job")
    assert ids(fleet.claim_several(8, background_in_hand=1, has_long=True)) == "bc"
    assert fleet.waiting() == ["a"]


def test_a_suspect_in_the_slower_lane_is_not_starved_by_the_faster_one(fleet: ScriptDriver) -> None:
    batch = KEYS.lane("demo", Lane.BATCH)
    fleet.submit("a", lane=batch)
    lanes: dict[str, Any] = {"lanes": [LANE, batch], "patience": [16, 16]}
    (claimed,) = fleet.claim_several(8, **lanes)
    fleet.fail("a", claimed["token"], retryable=True, code="poison_job")
    fleet.submit("b")
    assert fleet.claim_several(8, urgent_in_hand=1, **lanes) == [], "the worker takes nothing new until it is idle"
    assert ids(fleet.claim_several(8, **lanes)) == "b"


@pytest.mark.parametrize(("losses", "suspected"), [(1, False), (2, True)])
def test_a_lost_worker_is_nobodys_fault_twice_is_remarkable(fleet: ScriptDriver, losses: int, suspected: bool) -> None:
    fleet.submit("a")
    for _ in range(losses):
        fleet.claim(lease_ms=0)
        fleet.recover()
    assert ("suspect" in fleet.job("a")) is suspected


def test_one_claim_brings_no_more_than_the_worker_can_fetch_in_one_go(fleet: ScriptDriver) -> None:
    for name in "abc":
        fleet.submit(name, audio=b"x" * 400)
    assert ids(fleet.claim_several(8, max_bytes=700)) == "ab"
