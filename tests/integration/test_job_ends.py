"""Jobs that do not end with their first attempt: failures, recovery, cancels, and new lives."""

import json

from rq.registry import FailedJobRegistry
from rq.serializers import JSONSerializer

from tests.script_driver import KEYS, LANE, ScriptDriver


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


def test_handing_back_does_not_count_the_attempt_and_goes_to_the_front(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    fleet.submit("b")
    claimed = fleet.claim()
    assert claimed["attempt"] == "1"
    fleet.hand_back("a", claimed["token"])
    assert fleet.waiting() == ["a", "b"]
    assert fleet.claim()["attempt"] == "1"


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
    assert fleet.publish("a", token) == "stale"
    assert fleet.finish("a", token) == "stale"
    assert fleet.state("a") == "canceled"


def test_a_finished_job_is_erased_and_then_gone(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    fleet.finish("a", fleet.claim()["token"], cache_ttl=0)
    assert fleet.cancel("a", tenant="other") == "unknown"
    assert fleet.cancel("a") == "erased"
    assert fleet.cancel("a") == "gone"
    assert fleet.cancel("a", tenant="other") == "unknown"
    assert not fleet.redis.keys("*job:a") + fleet.redis.keys("*transcript*")
