"""How a waiter learns of the end of its job: a small result comes with the event, a large one is read from Redis."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from starlette.requests import Request

from gateway.fleet.connections import connect
from gateway.fleet.store import JobStore, Snapshot
from gateway.following.waiting import LongPoll, Waiters
from shared.jobs.job import JobState
from shared.settings import GatewaySettings
from shared.transcripts.transcript import Transcript
from tests.processes import RedisServer, wait_until
from tests.script_driver import KEYS, PREFIX, ScriptDriver

SMALL, LARGE = "hello", "hello " * 4000


def transcript(text: str) -> str:
    return Transcript(
        transcript=text, language="en", language_probability=1.0, duration=2.0, segments=[], preprocess_ms=0.0,
        transcribe_ms=0.0, model="demo", model_revision="r", device="cpu",
    ).model_dump_json()  # fmt: skip


@pytest.fixture
async def long_poll(server: RedisServer) -> AsyncIterator[LongPoll]:
    redis = connect(server.url, 1.0)
    waiters = Waiters(redis, KEYS.events)
    listening = asyncio.create_task(waiters.run())
    with server.client() as client:
        await asyncio.to_thread(wait_until, lambda: client.pubsub_numsub(KEYS.events)[0][1] == 1, "it listens")
    yield LongPoll(JobStore(redis, redis, KEYS, GatewaySettings(fleet_prefix=PREFIX)), waiters)
    listening.cancel()
    with suppress(asyncio.CancelledError):
        await listening
    await redis.aclose()


def patient_caller() -> Request:
    """A caller that never hangs up."""

    async def receive() -> Any:
        await asyncio.Event().wait()

    return Request({"type": "http"}, receive)


def scripts_run(fleet: ScriptDriver) -> int:
    statistics: dict[str, Any] = fleet.redis.info("commandstats")
    return int(statistics["cmdstat_evalsha"]["calls"])


async def end_while_waited_for(fleet: ScriptDriver, long_poll: LongPoll, text: str) -> tuple[Snapshot, int]:
    """The long-poll's answer, and how many scripts ran for it after its first look."""
    job_id = str(uuid4())
    fleet.submit(job_id)
    job, looks = fleet.claim(), scripts_run(fleet) + 1
    poll = asyncio.create_task(long_poll.until_ended(patient_caller(), job_id, "default", 30))
    await asyncio.to_thread(wait_until, lambda: scripts_run(fleet) >= looks, "the waiter has looked", 10, 0.01)
    fleet.finish(job_id, job["token"], transcript(text))
    answer = await asyncio.wait_for(poll, 10)
    return answer, scripts_run(fleet) - looks - 1


@pytest.mark.parametrize(("text", "questions"), [(SMALL, 0), (LARGE, 1)])
async def test_a_small_result_comes_with_the_event_and_a_large_one_is_asked_for(
    fleet: ScriptDriver, long_poll: LongPoll, text: str, questions: int
) -> None:
    await end_while_waited_for(fleet, long_poll, SMALL)  # loads the scripts
    answer, asked = await end_while_waited_for(fleet, long_poll, text)
    assert answer.job.state is JobState.COMPLETED and answer.transcript is not None
    assert (answer.transcript.transcript, asked) == (text, questions)


async def test_what_is_told_is_what_a_look_would_show(fleet: ScriptDriver, long_poll: LongPoll) -> None:
    told, _ = await end_while_waited_for(fleet, long_poll, SMALL)
    assert told == await long_poll.until_ended(patient_caller(), told.job.id, "default", 0)


async def test_an_event_that_is_not_text_stops_nobody_from_being_woken(fleet: ScriptDriver, long_poll: LongPoll) -> None:
    fleet.redis.publish(KEYS.events, b"\xff\xfe")
    answer, _ = await end_while_waited_for(fleet, long_poll, SMALL)
    assert answer.job.state is JobState.COMPLETED


def test_told_is_what_cannot_change_and_is_small(fleet: ScriptDriver) -> None:
    fleet.redis.zadd(KEYS.revisions("demo"), {"r1": fleet.redis.time()[0] * 1000})
    with fleet.redis.pubsub() as pubsub:  # type: ignore[no-untyped-call]
        pubsub.subscribe(KEYS.events)
        pubsub.get_message(timeout=5)
        fleet.submit("bad")
        fleet.fail("bad", fleet.claim()["token"], retryable=False)
        fleet.submit("good", digest="same")
        fleet.finish("good", fleet.claim()["token"])
        assert fleet.submit("hit", digest="same") == ["cached"]
        fleet.submit("verbose", job={"metadata": "m" * 20_000})
        fleet.finish("verbose", fleet.claim()["token"])
        fleet.submit("last")
        fleet.cancel("last")
        events = [pubsub.get_message(timeout=5)["data"].decode().split("\n") for _ in range(4)]
    assert [job_id for job_id, _ in events] == ["bad", "good", "verbose", "last"]
    records = [json.loads(told)[0] if told else [] for _, told in events]
    states = [record[record.index("state") + 1] if record else None for record in records]
    # A failed job can be retried, so its event carries no record; a cache hit is no event.
    assert states == [None, "completed", None, "canceled"]
