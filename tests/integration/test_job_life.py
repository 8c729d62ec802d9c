"""The atomic steps of a job's life, each against a real Redis."""

import json
from typing import Any

import pytest
import redis
from rq.registry import FailedJobRegistry
from rq.serializers import JSONSerializer

from shared.lanes import Lane
from shared.redis_trouble import Trouble, trouble_of
from shared.rq_transport import queue_key
from tests.processes import wait_until
from tests.script_driver import KEYS, LANE, ScriptDriver


def keys_of(fleet: ScriptDriver) -> set[bytes]:
    return {bytes(k) for k in fleet.redis.scan_iter("*")}


def test_a_submitted_job_waits_with_its_audio_and_is_weighed(fleet: ScriptDriver) -> None:
    assert fleet.submit("a") == ["queued"]
    assert (fleet.state("a"), fleet.has_audio("a"), fleet.waiting()) == ("queued", True, ["a"])
    assert fleet.load() == (1, 4, 2000)
    assert fleet.redis.hget("rq:job:a", "status") == b"queued"


def test_without_audio_nothing_is_written_unless_cache_or_flight_serve(fleet: ScriptDriver) -> None:
    assert fleet.submit("a", audio=b"") == ["need_audio"]
    assert fleet.redis.dbsize() == 0


def test_jobs_are_claimed_in_order_with_growing_tokens(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    fleet.submit("b")
    first, second = fleet.claim(), fleet.claim("w2")
    assert (first["id"], second["id"]) == ("a", "b")
    assert int(second["token"]) > int(first["token"])
    assert fleet.claim() == {}
    assert fleet.load() == (0, 0, 0)


def test_a_claim_leases_the_job_and_shows_in_rq(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    fleet.claim()
    assert fleet.redis.zcard(KEYS.in_flight) == 1
    assert fleet.redis.hget("rq:job:a", "status") == b"started"
    assert fleet.redis.zrange(f"rq:wip:{LANE}", 0, -1) == [b"a:x1-w1"]
    assert fleet.redis.smembers("rq:worker:w1:executions") == {b"a:x1-w1"}


def test_rqs_page_of_workers_counts_what_they_did(fleet: ScriptDriver) -> None:
    fleet.redis.hset("rq:worker:w1", "state", "busy")
    fleet.submit("a")
    fleet.finish("a", fleet.claim()["token"])
    fleet.submit("b")
    fleet.fail("b", fleet.claim()["token"], retryable=False)
    assert fleet.redis.hmget("rq:worker:w1", "successful_job_count", "failed_job_count") == [b"1", b"1"]
    fleet.submit("c")
    fleet.finish("c", fleet.claim("forgotten")["token"])
    assert not fleet.redis.exists("rq:worker:forgotten")


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
        fleet.renew("a", token, ['{"id":0}'])
    assert fleet.redis.llen(KEYS.partial("a")) == 1


def test_jobs_removed_with_rqs_tools_leave_no_weight_behind(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    fleet.redis.delete(queue_key(LANE), "rq:job:a")
    assert fleet.cancel("a") == "canceled"
    assert fleet.load() == (0, 0, 0)


def test_an_interactive_follower_takes_its_leader_out_of_the_batch_lane(fleet: ScriptDriver) -> None:
    batch = KEYS.lane("demo", Lane.BATCH)
    fleet.submit("a", digest="same", lane=batch)
    fleet.submit("b", digest="same")
    assert (fleet.waiting(), fleet.load()) == (["a"], (1, 4, 2000))
    assert fleet.claim()["id"] == "a"


def test_finishing_frees_memory_even_when_redis_is_full(fleet: ScriptDriver) -> None:
    for name in "abc":
        fleet.submit(name)
    tokens = {name: fleet.claim()["token"] for name in "abc"}
    fleet.redis.config_set("maxmemory", "1")
    try:
        with pytest.raises(redis.ResponseError) as refused:
            fleet.submit("d")
        assert trouble_of(refused.value) is Trouble.FULL
        assert fleet.renew("a", tokens["a"]) == "ok"
        assert fleet.finish("a", tokens["a"]) == "completed"
        assert fleet.fail("b", tokens["b"], retryable=False) == "failed"
        assert fleet.hand_back("c", tokens["c"]) == 1
    finally:
        fleet.redis.config_set("maxmemory", "0")
    assert not fleet.redis.keys("test:nothing")


def test_finishing_writes_all_at_once_and_drops_the_audio(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    token = fleet.claim()["token"]
    assert fleet.finish("a", token) == "completed"
    assert (fleet.state("a"), fleet.has_audio("a")) == ("completed", False)
    assert fleet.redis.get(KEYS.transcript("a")) == b'{"transcript":"hello"}'
    assert fleet.redis.zcard(KEYS.in_flight) == fleet.redis.zcard(f"rq:wip:{LANE}") == 0
    assert fleet.redis.zscore(f"rq:finished:{LANE}", "a") is not None
    assert fleet.redis.ttl(KEYS.job("a")) > 0


def test_a_stale_token_writes_nothing_and_is_counted(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    old = fleet.claim("zombie")["token"]
    assert fleet.hand_back("a", old) == 1
    new = fleet.claim("w2")["token"]
    assert fleet.finish("a", old, '{"transcript":"wrong"}') == "stale"
    assert fleet.fail("a", old, retryable=True) == "stale"
    assert fleet.renew("a", old) == "stale"
    assert fleet.finish("a", new) == "completed"
    assert fleet.finish("a", new, '{"transcript":"twice"}') == "completed", "its answer may have been lost"
    assert fleet.redis.get(KEYS.transcript("a")) == b'{"transcript":"hello"}'
    assert int(fleet.redis.hget(KEYS.totals, "refused_writes") or 0) == 2


def test_handing_back_does_not_count_the_attempt_and_goes_to_the_front(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    fleet.submit("b")
    claimed = fleet.claim()
    assert claimed["attempt"] == "1"
    fleet.hand_back("a", claimed["token"])
    assert fleet.waiting() == ["a", "b"]
    assert fleet.claim()["attempt"] == "1"


def test_a_retryable_failure_is_tried_three_times(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    verdicts = [fleet.fail("a", fleet.claim()["token"], retryable=True) for _ in range(3)]
    assert verdicts == ["requeued", "requeued", "failed"]
    assert fleet.state("a") == "failed"
    assert fleet.has_audio("a"), "kept for a retry"
    assert 0 < fleet.redis.ttl(KEYS.audio("a")) <= 60


def test_a_final_failure_is_not_tried_again(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    assert fleet.fail("a", fleet.claim()["token"], retryable=False) == "failed"
    assert fleet.claim() == {}


def test_a_lapsed_lease_brings_the_job_back_until_it_counts_as_poison(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    for attempt in (1, 2, 3):
        assert fleet.claim(lease_ms=0)["attempt"] == str(attempt)
        assert fleet.recover() == ([["a"], []] if attempt < 3 else [[], ["a"]])
    assert '"poison_job"' in fleet.job("a")["error"]


def test_renewing_keeps_the_lease_and_collects_segments(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    token = fleet.claim(lease_ms=0)["token"]
    assert fleet.renew("a", token, ['{"id":0}']) == "ok"
    assert fleet.recover() == [[], []]
    assert fleet.redis.lrange(KEYS.partial("a"), 0, -1) == [b'{"id":0}']
    fleet.finish("a", token)
    assert not fleet.redis.exists(KEYS.partial("a"))


def heard_of(fleet: ScriptDriver, **seconds_ago: int) -> None:
    """By revision, when a worker last said that it decodes with it."""
    now = fleet.redis.time()[0]
    fleet.redis.zadd(KEYS.revisions("demo"), {revision: (now - ago) * 1000 for revision, ago in seconds_ago.items()})


def test_equal_jobs_in_flight_share_one_decode(fleet: ScriptDriver) -> None:
    fleet.submit("a", digest="same")
    assert fleet.submit("b", digest="same", audio=b"") == ["following"]
    assert fleet.waiting() == ["a"]
    fleet.finish("a", fleet.claim()["token"])
    assert [fleet.job(i)["origin"] for i in "ab"] == ["decoded", "shared"]
    assert fleet.redis.get(KEYS.transcript("b")) == b'{"transcript":"hello"}'
    assert not fleet.redis.keys("test:f*")


def test_later_equal_jobs_come_from_the_cache_of_the_current_model_revision(fleet: ScriptDriver) -> None:
    heard_of(fleet, r1=0)
    fleet.submit("a", digest="same")
    fleet.finish("a", fleet.claim()["token"])
    assert fleet.submit("b", digest="same", audio=b"") == ["cached"]
    assert (fleet.state("b"), fleet.job("b")["origin"]) == ("completed", "cache")
    assert fleet.redis.get(KEYS.transcript("b")) == b'{"transcript":"hello"}'
    heard_of(fleet, r1=60, r2=0)
    assert fleet.submit("c", digest="same", audio=b"") == ["need_audio"]


def test_workers_that_cache_under_different_revisions_share_what_they_have(fleet: ScriptDriver) -> None:
    """CPUs and GPUs in one fleet, say; and the last one's when all are gone."""
    for name, revision in {"a": "r1", "b": "r2"}.items():
        fleet.submit(name)
        fleet.finish(name, fleet.claim()["token"], revision=revision)
    heard_of(fleet, r1=1, r2=2)
    assert [fleet.submit(f"{name}2", digest=name, audio=b"") for name in "ab"] == [["cached"], ["cached"]]
    heard_of(fleet, r1=601, r2=600)
    assert [fleet.submit(f"{name}3", digest=name, audio=b"") for name in "ab"] == [["need_audio"], ["cached"]]


def test_the_cache_is_bounded_and_can_be_cleared(fleet: ScriptDriver) -> None:
    for name in "abcd":
        fleet.submit(name)
        fleet.finish(name, fleet.claim()["token"], cache_entries=2)
    assert len(fleet.redis.keys("test:cache:*")) == 2
    assert fleet.run("clear_cache", tenant="default") == 2
    assert not fleet.redis.keys("test:cache*")


def test_a_dead_letter_says_why_each_attempt_ended_and_can_be_brought_back(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    fleet.fail("a", fleet.claim()["token"], retryable=True)
    fleet.claim(lease_ms=0)
    fleet.recover()
    fleet.fail("a", fleet.claim("w3")["token"], retryable=True)
    notes = json.loads(fleet.job("a")["history"])
    assert [(n["attempt"], n["worker"], n["code"]) for n in notes] == [
        (1, "w1", "transcription_failed"),
        (2, "w1", "worker_lost"),
        (3, "w3", "transcription_failed"),
    ]
    assert fleet.retry("a", tenant="other") == "unknown"
    assert fleet.retry("a") == "queued"
    assert (fleet.state("a"), fleet.load(), fleet.waiting()) == ("queued", (1, 4, 2000), ["a"])
    assert fleet.redis.ttl(KEYS.job("a")) == -1
    assert fleet.retry("a") == "not_retryable"
    assert fleet.claim()["attempt"] == "1"


def test_a_dead_letter_whose_audio_is_gone_cannot_be_brought_back(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    fleet.fail("a", fleet.claim()["token"], retryable=False)
    fleet.redis.delete(KEYS.audio("a"))
    assert fleet.retry("a") == "no_audio"
    assert fleet.state("a") == "failed"


def test_a_requeue_with_rqs_own_tools_brings_a_dead_letter_back(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    fleet.fail("a", fleet.claim()["token"], retryable=False)
    FailedJobRegistry(LANE, connection=fleet.redis, serializer=JSONSerializer).requeue("a")
    assert fleet.claim()["id"] == "a"
    assert (fleet.state("a"), fleet.load()) == ("running", (0, 0, 0))
    fleet.finish("a", fleet.job("a")["token"])
    assert fleet.state("a") == "completed"


def test_cancelling_a_queued_job_takes_it_out_at_once(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    assert fleet.cancel("a") == "canceled"
    assert (fleet.waiting(), fleet.load(), fleet.has_audio("a")) == ([], (0, 0, 0), False)
    assert fleet.claim() == {}


def test_cancelling_a_running_job_fences_its_worker_off(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    token = fleet.claim()["token"]
    assert fleet.cancel("a") == "canceled"
    assert fleet.renew("a", token) == "stale"
    assert fleet.finish("a", token) == "stale"
    assert fleet.state("a") == "canceled"


@pytest.mark.parametrize("running", [False, True])
def test_a_follower_survives_its_leaders_cancel(fleet: ScriptDriver, running: bool) -> None:
    for name in "abc":
        fleet.submit(name, digest="same")
    if running:
        fleet.claim()
    fleet.cancel("a")
    assert fleet.waiting() == ["b"]
    assert (fleet.job("c")["leader"], fleet.load()) == ("b", (1, 4, 2000))
    fleet.finish("b", fleet.claim()["token"])
    assert [fleet.state(i) for i in "abc"] == ["canceled", "completed", "completed"]
    assert not fleet.redis.keys("test:audio:*")


def test_a_follower_can_be_cancelled_alone(fleet: ScriptDriver) -> None:
    fleet.submit("a", digest="same")
    fleet.submit("b", digest="same")
    assert fleet.cancel("b") == "canceled"
    fleet.finish("a", fleet.claim()["token"])
    assert [fleet.state(i) for i in "ab"] == ["completed", "canceled"]


def test_followers_fail_with_their_leader(fleet: ScriptDriver) -> None:
    fleet.submit("a", digest="same")
    fleet.submit("b", digest="same")
    fleet.fail("a", fleet.claim()["token"], retryable=False)
    assert [fleet.state(i) for i in "ab"] == ["failed", "failed"]


def test_a_finished_job_is_erased_and_then_gone(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    fleet.finish("a", fleet.claim()["token"], cache_ttl=0)
    assert fleet.cancel("a", tenant="other") == "unknown"
    assert fleet.cancel("a") == "erased"
    assert fleet.cancel("a") == "gone"
    assert fleet.cancel("a", tenant="other") == "unknown"
    assert not fleet.redis.keys("*job:a") + fleet.redis.keys("*transcript*")


def test_a_full_queue_refuses_and_writes_nothing(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    before = fleet.redis.dbsize()
    assert fleet.submit("b", max_bytes=7)[0] == "full"
    assert fleet.submit("c", max_audio_ms=3999)[0] == "full"
    assert fleet.redis.dbsize() == before


def test_an_idempotency_key_stands_for_one_job(fleet: ScriptDriver) -> None:
    key = {"key": "k", "digest": "d"}
    assert fleet.submit("a", idempotency=key) == ["queued"]
    assert fleet.submit("b", idempotency=key) == ["replay", "a"]
    assert fleet.submit("c", idempotency={"key": "k", "digest": "other"}) == ["conflict"]
    assert fleet.submit("d", idempotency=key, tenant="other") == ["queued"]


def test_entries_removed_with_rqs_own_tools_are_passed_over(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    fleet.submit("b")
    fleet.redis.delete("test:job:a")
    assert fleet.claim()["id"] == "b"


def test_a_submit_rings_for_an_idle_worker(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    assert fleet.redis.blpop([KEYS.bell(LANE)], timeout=1) is not None


def test_no_key_outlives_its_job(fleet: ScriptDriver) -> None:
    """With results, tombstones and cache expired, what is left belongs to the fleet, not to a job."""
    short: dict[str, Any] = {"result_ttl": 1, "failed_audio_ttl": 1, "gone_ttl": 1}
    for name in "abcd":
        fleet.submit(name, digest="same" if name in "cd" else name, **short)
    fleet.finish("a", fleet.claim()["token"], cache_ttl=1, **short)
    fleet.run("fail", id="b", token=int(fleet.claim()["token"]), error="{}", retryable=False, max_attempts=3, **short)
    fleet.run("cancel", id="c", tenant="default", **short)
    fleet.run("cancel", id="d", tenant="default", **short)
    fleet.redis.delete(KEYS.bell(LANE))
    ours = {b"test:load", b"test:pace", b"test:totals", b"test:token", b"rq:queues"}

    wait_until(lambda: not keys_of(fleet) - ours, "all keys of the jobs are gone", 5)
    assert queue_key(LANE).encode() not in keys_of(fleet)


def test_an_answer_that_was_lost_is_given_again_and_is_no_zombie(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    token = fleet.claim()["token"]
    assert [fleet.finish("a", token) for _ in "12"] == ["completed", "completed"]
    fleet.submit("b")
    token = fleet.claim()["token"]
    assert [fleet.fail("b", token, retryable=False) for _ in "12"] == ["failed", "failed"]
    assert fleet.redis.hget("test:totals", "refused_writes") is None
    assert fleet.finish("b", token) == "stale", "it ended in another way"


def test_a_submit_that_is_sent_again_is_the_same_job(fleet: ScriptDriver) -> None:
    assert fleet.submit("a")[0] == "queued"
    assert fleet.submit("a") == ["replay", "a"]
    assert fleet.load() == (1, 4, 2000)


def test_segments_that_are_sent_again_are_there_once_and_new_ones_too(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    token = fleet.claim()["token"]
    fleet.renew("a", token, ["1", "2"])
    assert fleet.renew("a", token, ["1", "2", "3"]) == "ok"
    assert fleet.redis.lrange(KEYS.partial("a"), 0, -1) == [b"1", b"2", b"3"]
    assert fleet.renew("a", token, [str(n) for n in range(1, 20_001)]) == "ok"
    assert fleet.redis.llen(KEYS.partial("a")) == 20_000


def test_followers_have_a_limit(fleet: ScriptDriver) -> None:
    assert [fleet.submit(name, digest="same", most_followers=2)[0] for name in "abcd"] == [
        "queued",
        "following",
        "following",
        "full",
    ]
    assert fleet.finish("a", fleet.claim()["token"]) == "completed"
    assert fleet.job("b")["progress_seconds"] == "2"


def test_followers_of_a_long_file_have_a_smaller_limit(fleet: ScriptDriver) -> None:
    """Each has a copy of its transcript."""
    long = {"audio_seconds": 100.0}
    verdicts = [fleet.submit(name, digest="same", job=long, max_audio_ms=10**6, most_followed_seconds=250)[0] for name in "abcde"]
    assert verdicts == ["queued", "following", "following", "following", "full"]


def test_a_follower_that_failed_with_its_leader_can_be_retried(fleet: ScriptDriver) -> None:
    for name in "ab":
        fleet.submit(name, digest="same")
    fleet.fail("a", fleet.claim()["token"], retryable=False)
    assert fleet.retry("b") == "queued"
    assert fleet.finish("b", fleet.claim()["token"]) == "completed"
    assert fleet.has_audio("a") and not fleet.has_audio("b")


def test_followers_of_a_cancelled_job_without_audio_end(fleet: ScriptDriver) -> None:
    for name in "abc":
        fleet.submit(name, digest="same")
    fleet.redis.delete(KEYS.audio("a"))
    fleet.cancel("a")
    assert [fleet.state(name) for name in "abc"] == ["canceled", "failed", "failed"]
    assert "audio_lost" in fleet.job("c")["error"]
