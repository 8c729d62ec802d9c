"""The atomic steps of a job's life, each against a real Redis: submit, claim, renew and finish, and the keys that are left."""

from contextlib import closing
from typing import Any

import pytest
import redis

from shared.jobs.rq_transport import queue_key
from shared.redis_server.trouble import Trouble, trouble_of
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


def test_a_beat_renews_the_leases_of_a_workers_jobs_and_tells_which_it_has_lost(fleet: ScriptDriver) -> None:
    for name in "abc":
        fleet.submit(name)
    jobs = fleet.claim_several(3, lease_ms=0)
    fleet.cancel("b")
    verdicts, has_lapsed, _ = fleet.beat(*jobs)
    assert (verdicts, has_lapsed) == (["ok", "stale", "ok"], 0)
    assert fleet.recover() == [[], []]


def test_a_beat_tells_of_lapsed_leases(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    fleet.claim("dead", lease_ms=0)
    assert fleet.beat()[1] == 1
    fleet.recover()
    assert fleet.beat()[1] == 0


def test_rqs_page_of_workers_shows_what_a_beat_tells(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    job = fleet.claim()
    assert fleet.beat(job)[2] == 0 and not fleet.redis.exists("rq:worker:w1"), "a worker that RQ does not know is not made"
    fleet.redis.hset("rq:worker:w1", "state", "idle")
    assert fleet.beat(job, rq={"state": "busy", "successful_job_count": 5})[2] == 1
    assert fleet.redis.hmget("rq:worker:w1", "state", "successful_job_count") == [b"busy", b"5"]
    assert fleet.redis.smembers("rq:worker:w1:executions") == {f"a:{job['execution']}".encode()}
    assert fleet.redis.hget(f"rq:execution:a:{job['execution']}", "worker_name") == b"w1"
    fleet.finish("a", job["token"])
    assert not fleet.redis.exists("rq:worker:w1:executions", f"rq:execution:a:{job['execution']}")


def test_a_worker_is_told_at_once_which_of_its_attempts_were_taken_from_it(fleet: ScriptDriver) -> None:
    listener = fleet.redis.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
    with closing(listener):
        listener.subscribe(KEYS.withdrawn("w1"))
        listener.get_message(timeout=5)
        for name in "abc":
            fleet.submit(name)
        jobs = {job["id"]: job for job in fleet.claim_several(3)}
        fleet.finish("a", jobs["a"]["token"])
        fleet.hand_back("b", jobs["b"]["token"])
        fleet.cancel("c")
        assert listener.get_message(timeout=5)["data"] == f"c:{jobs['c']['token']}".encode()
        assert listener.get_message(timeout=0.2) is None, "it is not told of its own calls"


def test_jobs_removed_with_rqs_tools_leave_no_weight_behind(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    fleet.redis.delete(queue_key(LANE), "rq:job:a")
    assert fleet.cancel("a") == "canceled"
    assert fleet.load() == (0, 0, 0)


def test_finishing_frees_memory_even_when_redis_is_full(fleet: ScriptDriver) -> None:
    for name in "abc":
        fleet.submit(name)
    tokens = {name: fleet.claim()["token"] for name in "abc"}
    fleet.redis.config_set("maxmemory", "1")
    try:
        with pytest.raises(redis.ResponseError) as refused:
            fleet.submit("d")
        assert trouble_of(refused.value) is Trouble.FULL
        assert fleet.publish("a", tokens["a"]) == "ok"
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
    assert fleet.publish("a", old) == "stale"
    assert fleet.finish("a", new) == "completed"
    assert fleet.finish("a", new, '{"transcript":"twice"}') == "completed", "the answer to the first call may have been lost"
    assert fleet.redis.get(KEYS.transcript("a")) == b'{"transcript":"hello"}'
    assert int(fleet.redis.hget(KEYS.totals, "refused_writes") or 0) == 2


def test_published_segments_are_collected_until_the_job_ends(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    token = fleet.claim()["token"]
    assert fleet.publish("a", token, ['{"id":0}']) == "ok"
    assert fleet.redis.lrange(KEYS.partial("a"), 0, -1) == [b'{"id":0}']
    fleet.finish("a", token)
    assert not fleet.redis.exists(KEYS.partial("a"))


def test_a_full_queue_refuses_and_writes_nothing(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    before = fleet.redis.dbsize()
    assert fleet.submit("b", max_bytes=7)[0] == "full"
    assert fleet.submit("c", max_audio_ms=3999)[0] == "full"
    assert fleet.redis.dbsize() == before


def test_entries_removed_with_rqs_own_tools_are_passed_over(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    fleet.submit("b")
    fleet.redis.delete("test:job:a")
    assert fleet.claim()["id"] == "b"


def test_a_submit_rings_for_an_idle_worker(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    assert fleet.redis.blpop([KEYS.bell(LANE)], timeout=1) is not None


def test_no_key_outlives_its_job(fleet: ScriptDriver) -> None:
    """After results, `gone` marks and cache entries have expired, the keys that are left belong to the fleet, not to a job."""
    short: dict[str, Any] = {"result_ttl": 1, "failed_audio_ttl": 1, "gone_ttl": 1}
    for name in "abcd":
        fleet.submit(name, digest="same" if name in "cd" else name, **short)
    fleet.finish("a", fleet.claim()["token"], cache_ttl=1, **short)
    fleet.run("fail", id="b", token=int(fleet.claim()["token"]), error="{}", retryable=False, max_attempts=3, **short)
    fleet.run("cancel", id="c", tenant="default", key="", **short)
    fleet.run("cancel", id="d", tenant="default", key="", **short)
    fleet.redis.delete(KEYS.bell(LANE))
    ours = {b"test:load", b"test:pace", b"test:totals", b"test:token", b"rq:queues", b"test:claimed:w1"}

    wait_until(lambda: not keys_of(fleet) - ours, "all keys of the jobs are gone", 5)
    assert queue_key(LANE).encode() not in keys_of(fleet)
