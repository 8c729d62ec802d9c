"""Script calls that are made again because the answer to the first one was lost."""

import pytest
from redis.exceptions import ResponseError

from tests.script_driver import KEYS, LONG_LANE, ScriptDriver


def test_a_claim_whose_answer_was_lost_is_answered_again(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    fleet.submit("b")
    first = fleet.claim()
    assert fleet.claim(again=True) == first
    assert fleet.waiting() == ["b"]


def test_a_renewal_that_is_sent_twice_publishes_its_segments_once(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    token = fleet.claim()["token"]
    for _ in range(2):
        fleet.publish("a", token, ['{"id":0}'])
    assert fleet.redis.llen(KEYS.partial("a")) == 1


def test_an_answer_that_was_lost_is_given_again_and_is_no_zombie(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    token = fleet.claim()["token"]
    assert [fleet.finish("a", token) for _ in "12"] == ["completed", "completed"]
    fleet.submit("b")
    token = fleet.claim()["token"]
    assert [fleet.fail("b", token, retryable=False) for _ in "12"] == ["failed", "failed"]
    assert fleet.redis.hget("test:totals", "refused_writes") is None
    assert fleet.finish("b", token) == "stale", "the token ended the job with another answer"


def test_a_submit_that_is_sent_again_is_the_same_job(fleet: ScriptDriver) -> None:
    assert fleet.submit("a")[0] == "queued"
    assert fleet.submit("a") == ["replay", "a"]
    assert fleet.load() == (1, 4, 2000)


def test_segments_that_are_sent_again_are_there_once_and_new_ones_too(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    token = fleet.claim()["token"]
    fleet.publish("a", token, ["1", "2"])
    assert fleet.publish("a", token, ["1", "2", "3"]) == "ok"
    assert fleet.redis.lrange(KEYS.partial("a"), 0, -1) == [b"1", b"2", b"3"]
    assert fleet.publish("a", token, [str(n) for n in range(1, 20_001)]) == "ok"
    assert fleet.redis.llen(KEYS.partial("a")) == 20_000


def test_an_idempotency_key_stands_for_one_job(fleet: ScriptDriver) -> None:
    key = {"key": "k", "digest": "d"}
    assert fleet.submit("a", idempotency=key) == ["queued"]
    assert fleet.submit("b", idempotency=key) == ["replay", "a"]
    assert fleet.submit("c", idempotency={"key": "k", "digest": "other"}) == ["conflict"]
    assert fleet.submit("d", idempotency=key, tenant="other") == ["queued"]


def test_what_a_worker_has_put_down_it_may_put_down_again(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    token = fleet.claim()["token"]
    assert [fleet.fail("a", token, retryable=True) for _ in "12"] == ["requeued", "requeued"]
    token = fleet.claim("w2")["token"]
    assert [fleet.hand_back("a", token) for _ in "12"] == [1, 1]
    fleet.claim("w3")
    assert fleet.hand_back("a", token) == 1, "the answer stays the same when another worker has the job"
    assert (fleet.state("a"), fleet.waiting(), fleet.load()[0]) == ("running", [], 0)
    assert fleet.redis.hget("test:totals", "refused_writes") is None


def test_a_file_that_is_split_again_is_split_once(fleet: ScriptDriver) -> None:
    fleet.submit("f", job={"audio_seconds": 50.0})
    token = fleet.claim()["token"]
    assert fleet.split("f", token, ["0-25000", "25000-50000"]) == "split"
    assert fleet.split("f", token, ["0-25000", "25000-50000"], put_audio=False) == "split"
    assert fleet.waiting(LONG_LANE) == ["f_p1", "f_p2"] and fleet.load()[0] == 2


def test_a_broken_record_keeps_no_other_job_of_the_claim_from_the_worker(fleet: ScriptDriver) -> None:
    for name in "abc":
        fleet.submit(name)
    fleet.redis.hset(KEYS.job("b"), "size_bytes", "many")
    with pytest.raises(ResponseError):
        fleet.claim_several(3)
    assert [job["id"] for job in fleet.claim_several(3, again=True)] == ["a"]
    assert fleet.claim()["id"] == "c"
