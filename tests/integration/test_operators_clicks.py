"""An operator removes or requeues jobs with RQ's tools: every job ends or keeps running, and the counters are right."""

from collections.abc import Callable
from typing import Any

import pytest
from rq import Queue
from rq.job import Job as RqJob
from rq.registry import FailedJobRegistry
from rq.serializers import JSONSerializer

from tests.script_driver import KEYS, LANE, LONG_LANE, ScriptDriver


def queue(fleet: ScriptDriver, lane: str = LANE) -> Any:
    """The queue as rq-dashboard opens it."""
    return Queue(lane, connection=fleet.redis, serializer=JSONSerializer)


def delete(fleet: ScriptDriver, job_id: str) -> None:
    """Delete a job as the dashboard's button does."""
    RqJob.fetch(job_id, connection=fleet.redis, serializer=JSONSerializer).delete()


def test_an_emptied_queue_is_a_cancel_of_all_that_waited(fleet: ScriptDriver) -> None:
    for name in "abc":
        fleet.submit(name)
    running = fleet.claim()["token"]
    queue(fleet).empty()
    assert fleet.reconcile() == [[], ["c", "b"], []]
    assert [fleet.state(name) for name in "abc"] == ["running", "canceled", "canceled"]
    assert (fleet.load(), fleet.has_audio("b")) == ((0, 0, 0), False)
    assert fleet.finish("a", running) == "completed"
    assert fleet.reconcile() == [[], [], []]


def test_a_deleted_queue_takes_new_jobs_again(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    queue(fleet).delete(delete_jobs=True)
    assert fleet.reconcile() == [[], ["a"], []]
    fleet.submit("b")
    assert (fleet.claim()["id"], fleet.load()) == ("b", (0, 0, 0))


def test_a_follower_of_a_deleted_job_goes_on_without_it(fleet: ScriptDriver) -> None:
    fleet.submit("a", digest="same")
    fleet.submit("b", digest="same")
    delete(fleet, "a")
    assert fleet.reconcile() == [[], ["a"], []]
    assert fleet.claim()["id"] == "b"


def test_a_job_that_fell_out_of_its_list_gets_its_place_back(fleet: ScriptDriver) -> None:
    for name in "abcd":
        fleet.submit(name)
    for name in "bd":
        fleet.redis.lrem(f"rq:queue:{LANE}", 0, name)
    assert fleet.reconcile() == [["d", "b"], [], []]
    assert [fleet.claim()["id"] for _ in "abcd"] == ["a", "b", "c", "d"]
    assert fleet.load() == (0, 0, 0)


def test_a_running_job_that_is_deleted_runs_on_and_leaves_no_half_record(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    token = fleet.claim()["token"]
    delete(fleet, "a")
    assert fleet.reconcile() == [[], [], []]
    assert (fleet.publish("a", token), fleet.finish("a", token)) == ("ok", "completed")
    assert not fleet.redis.exists("rq:job:a")


def test_a_finished_job_that_is_deleted_keeps_its_transcript(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    fleet.finish("a", fleet.claim()["token"])
    delete(fleet, "a")
    fleet.reconcile()
    assert (fleet.state("a"), fleet.redis.exists(KEYS.transcript("a"))) == ("completed", 1)


@pytest.mark.parametrize("how", ["empty the queue", "delete one piece"])
def test_a_long_file_whose_pieces_are_deleted_is_canceled(fleet: ScriptDriver, how: str) -> None:
    fleet.submit("f", lane=LONG_LANE)
    fleet.split("f", fleet.claim()["token"], ["0-30000", "30000-60000"])
    if how == "empty the queue":
        queue(fleet, LONG_LANE).empty()
    else:
        delete(fleet, "f_p2")
    assert fleet.reconcile() == [[], ["f"], []]
    assert (fleet.state("f"), fleet.load()) == ("canceled", (0, 0, 0))
    assert not fleet.redis.keys("test:job:f_p*") and not fleet.redis.exists("test:split")


def test_a_long_file_whose_pieces_are_gone_altogether_is_cut_anew(fleet: ScriptDriver) -> None:
    fleet.submit("f", lane=LONG_LANE)
    fleet.split("f", fleet.claim()["token"], ["0-30000", "30000-60000"])
    fleet.redis.delete(KEYS.job("f_p1"), "rq:job:f_p1")
    fleet.redis.lrem(f"rq:queue:{LONG_LANE}", 0, "f_p1")
    assert fleet.reconcile() == [[], [], ["f"]]
    again = fleet.claim()
    assert (again["id"], again["attempt"]) == ("f", "2")
    assert "pieces_lost" in fleet.job("f")["history"]


def test_a_follower_that_takes_over_in_a_lane_that_was_never_used_is_weighed(fleet: ScriptDriver) -> None:
    fleet.submit("a", digest="same")
    fleet.submit("b", digest="same", lane=LONG_LANE, job={"priority": "batch"})
    delete(fleet, "a")
    assert fleet.reconcile() == [[], ["a"], []]
    assert fleet.load() == (1, 4, 2000)


def test_a_file_that_is_cut_anew_is_weighed_though_nothing_else_waits(fleet: ScriptDriver) -> None:
    fleet.submit("f", lane=LONG_LANE)
    fleet.split("f", fleet.claim()["token"], ["0-30000", "30000-60000"])
    for piece in ("f_p1", "f_p2"):
        delete(fleet, piece)
        fleet.redis.delete(KEYS.job(piece))
    assert fleet.reconcile() == [[], [], ["f"]]
    assert fleet.load()[0] > 0
    fleet.claim()
    assert fleet.load()[0] >= 0, "the count of waiting jobs is never negative"


def test_a_split_file_is_left_alone(fleet: ScriptDriver) -> None:
    fleet.submit("f", lane=LONG_LANE)
    fleet.split("f", fleet.claim()["token"], ["0-30000", "30000-60000"])
    first = fleet.claim()
    assert fleet.reconcile() == [[], [], []]
    assert fleet.finish(first["id"], first["token"]) == "piece"
    assert fleet.reconcile() == [[], [], []]
    last = fleet.claim()
    assert fleet.finish(last["id"], last["token"]) == "stitch"
    assert fleet.reconcile() == [[], [], []]
    assert not fleet.redis.exists("test:split")


def test_what_removed_records_weighed_is_forgotten_when_nothing_waits(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    fleet.redis.delete(KEYS.job("a"))
    assert (fleet.claim(), fleet.reconcile()) == ({}, [[], [], []])
    assert fleet.load() == (0, 0, 0)


@pytest.mark.parametrize("sweep", ["expire", "recover", "reconcile"])
def test_a_broken_record_keeps_no_other_from_being_swept(fleet: ScriptDriver, sweep: str) -> None:
    for name in ("broken", "well"):
        fleet.submit(name, start_deadline_ms=0 if sweep == "expire" else 60_000)
        if sweep == "recover":
            fleet.claim(lease_ms=0)
    # A record without the fields from which scripts compute the load.
    fleet.redis.hdel(KEYS.job("broken"), "lane", "audio_seconds", "attempt")
    if sweep == "reconcile":
        queue(fleet).empty()
        fleet.redis.hset(KEYS.job("broken"), "lane", LANE)
    sweeps: dict[str, Callable[[], Any]] = {"expire": fleet.expire, "recover": fleet.recover, "reconcile": fleet.reconcile}
    done = sweeps[sweep]()
    assert "well" in str(done)
    assert fleet.broken[0] == "broken" and fleet.broken[1]
    assert fleet.redis.zrange("test:broken", 0, -1) == [b"broken"]
    assert sweeps[sweep]() is not None and not fleet.broken, "the broken record is set aside"


@pytest.mark.parametrize("end", ["failed", "expired"])
def test_a_requeued_dead_letter_waits_again_before_anybody_claims_it(fleet: ScriptDriver, end: str) -> None:
    for name in "ab":
        fleet.submit(name)
    if end == "failed":
        fleet.fail("a", fleet.claim()["token"], retryable=False)
    else:
        fleet.redis.zadd("test:deadlines", {"a": 1})
        assert fleet.expire() == ["a"]
    requeue(fleet, "a")
    assert (fleet.reconcile(), fleet.revived) == ([[], [], []], ["a"])
    assert (fleet.state("a"), fleet.waiting(), fleet.load()) == ("queued", ["b", "a"], (2, 8, 4000))
    assert fleet.redis.ttl(KEYS.job("a")) == -1 and fleet.job("a")["attempt"] == "0"
    assert (fleet.reconcile(), fleet.revived) == ([[], [], []], [])
    assert [fleet.claim()["id"] for _ in "ab"] == ["b", "a"] and fleet.load() == (0, 0, 0)


@pytest.mark.parametrize("first", ["sweep", "claim"])
def test_a_requeued_dead_letter_without_audio_stays_dead_and_is_shown_so(fleet: ScriptDriver, first: str) -> None:
    fleet.submit("a")
    fleet.fail("a", fleet.claim()["token"], retryable=False)
    fleet.redis.delete(KEYS.audio("a"))
    requeue(fleet, "a")
    assert not (fleet.claim() if first == "claim" else fleet.reconcile() and fleet.revived)
    assert (fleet.state("a"), fleet.waiting(), fleet.load()) == ("failed", [], (0, 0, 0))
    failed = FailedJobRegistry(LANE, connection=fleet.redis, serializer=JSONSerializer)
    assert failed.get_job_ids() == ["a"]
    assert RqJob.fetch("a", connection=fleet.redis, serializer=JSONSerializer).get_status() == "failed"


def test_a_requeued_follower_has_the_audio_of_the_job_that_it_followed(fleet: ScriptDriver) -> None:
    for name in "ab":
        fleet.submit(name, digest="same")
    fleet.fail("a", fleet.claim()["token"], retryable=False)
    requeue(fleet, "b")
    assert fleet.reconcile() and fleet.revived == ["b"]
    assert fleet.has_audio("b") and fleet.claim()["id"] == "b"


def requeue(fleet: ScriptDriver, job_id: str) -> None:
    """Requeue a job as the dashboard's button does."""
    RqJob.fetch(job_id, connection=fleet.redis, serializer=JSONSerializer).requeue()
