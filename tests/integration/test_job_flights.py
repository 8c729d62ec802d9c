"""Equal jobs: followers of a job that is being decoded, and transcripts from the cache."""

import pytest

from shared.jobs.lanes import Lane
from tests.script_driver import KEYS, ScriptDriver


def heard_of(fleet: ScriptDriver, **seconds_ago: int) -> None:
    """Write for each revision how many seconds ago a worker that decodes with it had its last beat."""
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
    """For example CPUs and GPUs in one fleet. If all workers are gone, the revision with the last beat counts."""
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


def test_an_interactive_follower_takes_its_leader_out_of_the_batch_lane(fleet: ScriptDriver) -> None:
    batch = KEYS.lane("demo", Lane.BATCH)
    fleet.submit("a", digest="same", lane=batch)
    fleet.submit("b", digest="same")
    assert (fleet.waiting(), fleet.load()) == (["a"], (1, 4, 2000))
    assert fleet.claim()["id"] == "a"


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


def test_followers_have_a_limit(fleet: ScriptDriver) -> None:
    assert [fleet.submit(name, digest="same", most_followers=2)[0] for name in "abcd"] == [
        "queued",
        "following",
        "following",
        "full",
    ]
    assert fleet.finish("a", fleet.claim()["token"]) == "completed"
    assert fleet.job("b")["progress_seconds"] == "2"


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


def test_followers_of_a_long_file_have_a_smaller_limit(fleet: ScriptDriver) -> None:
    """Each follower gets a copy of the transcript, so the limit also counts the seconds of audio."""
    long = {"audio_seconds": 100.0}
    verdicts = [fleet.submit(name, digest="same", job=long, max_audio_ms=10**6, most_followed_seconds=250)[0] for name in "abcde"]
    assert verdicts == ["queued", "following", "following", "following", "full"]
