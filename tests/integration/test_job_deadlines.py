"""Deadlines for the start and for the end of a job."""

import json

from tests.script_driver import KEYS, ScriptDriver


def test_a_job_that_was_handed_back_has_a_deadline_again(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    fleet.hand_back("a", fleet.claim()["token"])
    assert fleet.redis.zscore("test:deadlines", "a") is not None


def test_a_follower_of_a_running_leader_does_not_expire(fleet: ScriptDriver) -> None:
    fleet.submit("a", digest="same")
    token = fleet.claim()["token"]
    fleet.submit("b", digest="same", start_deadline_ms=0)
    assert fleet.expire() == []
    fleet.finish("a", token)
    assert fleet.state("b") == "completed"


def test_a_job_nobody_starts_in_time_expires(fleet: ScriptDriver) -> None:
    fleet.submit("a", start_deadline_ms=0)
    assert fleet.expire() == ["a"]
    assert (fleet.state("a"), fleet.load(), fleet.waiting()) == ("expired", (0, 0, 0), [])


def test_an_overdue_job_is_not_started(fleet: ScriptDriver) -> None:
    fleet.submit("a", start_deadline_ms=0)
    fleet.submit("b")
    assert fleet.claim()["id"] == "b"
    assert fleet.state("a") == "expired"


def test_a_running_job_ends_at_its_deadline_and_its_worker_hears_of_it(fleet: ScriptDriver) -> None:
    fleet.submit("a", deadline_ms=60_000)
    token = fleet.claim()["token"]
    assert fleet.expire() == []
    pass_deadline(fleet, "a")
    assert fleet.expire() == ["a"]
    assert (fleet.state("a"), fleet.publish("a", token), fleet.finish("a", token)) == ("expired", "stale", "stale")
    assert [note["code"] for note in json.loads(fleet.job("a")["history"])] == ["deadline_passed"]
    assert not fleet.redis.exists(KEYS.in_flight)


def test_the_sooner_of_both_deadlines_counts(fleet: ScriptDriver) -> None:
    fleet.submit("a", deadline_ms=1_000, start_deadline_ms=60_000)
    fleet.submit("b", deadline_ms=60_000, start_deadline_ms=1_000)
    created = int(fleet.job("a")["created_at_ms"])
    assert fleet.redis.zscore("test:deadlines", "a") == created + 1_000
    assert fleet.redis.zscore("test:deadlines", "b") == int(fleet.job("b")["created_at_ms"]) + 1_000
    fleet.claim()
    fleet.claim()
    assert fleet.redis.zscore("test:deadlines", "b") == int(fleet.job("b")["created_at_ms"]) + 60_000


def test_a_followers_own_deadline_holds_while_its_leader_runs(fleet: ScriptDriver) -> None:
    fleet.submit("a", digest="same")
    token = fleet.claim()["token"]
    fleet.submit("b", digest="same", deadline_ms=0)
    fleet.submit("c", digest="same")
    assert fleet.expire() == ["b"]
    fleet.finish("a", token)
    assert (fleet.state("b"), fleet.state("c")) == ("expired", "completed")


def test_a_follower_takes_over_from_a_leader_that_ran_out_of_time(fleet: ScriptDriver) -> None:
    fleet.submit("a", digest="same", deadline_ms=60_000)
    fleet.claim()
    fleet.submit("b", digest="same")
    pass_deadline(fleet, "a")
    assert fleet.expire() == ["a"]
    assert (fleet.waiting(), fleet.has_audio("b")) == (["b"], True)


def test_a_retry_starts_the_clock_anew(fleet: ScriptDriver) -> None:
    fleet.submit("a", deadline_ms=60_000)
    pass_deadline(fleet, "a")
    fleet.expire()
    assert fleet.retry("a") == "queued"
    assert fleet.expire() == []
    fleet.claim()
    assert fleet.redis.zscore("test:deadlines", "a") == int(fleet.job("a")["ends_by_ms"])


def pass_deadline(fleet: ScriptDriver, job_id: str) -> None:
    """Move the job's deadline into the past."""
    fleet.redis.zadd("test:deadlines", {job_id: 0}, xx=True)
