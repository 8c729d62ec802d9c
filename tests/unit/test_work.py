"""Who counts as stuck when decodes share one model, and what becomes of results that Redis refuses."""

import time
from collections.abc import Sequence
from typing import cast

import pytest
from redis import RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ResponseError

from shared.jobs.job import Job, JobError
from shared.transcripts.transcript import Transcript
from worker.queue.leased_job import Held
from worker.queue.leases import WorkerStore
from worker.supervising.in_flight import Outcome, Work

FAILED = Outcome(error=JobError(code="transcription_failed", message="It failed."))


def held(name: str, audio_seconds: float) -> Held:
    job = Job.model_validate(
        {"id": name, "state": "running", "tenant": "t", "options": {}, "model": "m", "sha256": "00", "audio_format": "wav",
         "size_bytes": 1, "audio_seconds": audio_seconds, "created_at_ms": 0}
    )  # fmt: skip
    return Held(job=job, token=1)


def stuck(silent_for_seconds: dict[tuple[str, float], float]) -> list[str]:
    work = Work(cast("WorkerStore", None))
    for (name, audio_seconds), silent in silent_for_seconds.items():
        work.begin(held(name, audio_seconds)).moved_at = time.monotonic() - silent
    return [assignment.held.job.id for assignment in work.stuck(limit_seconds=120)]


def test_a_hang_is_not_blamed_on_the_shortest_alone() -> None:
    assert stuck({("culprit", 60): 121, ("neighbour", 3): 121, ("newcomer", 3): 5}) == ["culprit", "neighbour"]


def test_long_audio_has_more_time_while_nobody_else_is_stuck() -> None:
    assert stuck({("long", 600): 150, ("short", 3): 1}) == []
    assert stuck({("long", 600): 181, ("short", 3): 1}) == ["long"]


class RefusingStore:
    """In place of the store: refuses what is written of the job `refused`, and notes what it is asked."""

    def __init__(self, error: RedisError) -> None:
        self.error, self.tries, self.written, self.renewed = error, 0, list[str](), list[str]()

    def fail(self, held: Held, _error: JobError) -> str:
        if held.job.id == "refused":
            self.tries += 1
            raise self.error
        self.written.append(held.job.id)
        return "failed"

    def stitch(self, _held: Held) -> Transcript:
        raise self.error

    def renew(self, held: Sequence[Held]) -> list[bool]:
        self.renewed = [h.job.id for h in held]
        return [True] * len(held)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which the test moves on."""
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    return clock


def tick(work: Work, clock: list[float], seconds: int) -> None:
    """As the supervisor does, ten times a second."""
    for _ in range(10 * seconds):
        clock[0] += 0.1
        work.renew(clock[0])
        work.write_back()


def test_a_result_refused_by_our_own_mistake_is_tried_ever_less_often_and_given_up(clock: list[float]) -> None:
    store = RefusingStore(ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"))
    work = Work(cast("WorkerStore", store))
    for name in ("refused", "good"):
        work.begin(held(name, 1))
        work.conclude(f"{name}:1", FAILED)
    assert (store.written, store.tries) == (["good"], 1)
    tick(work, clock, 2)
    assert (store.tries, store.renewed, work.busy) == (2, ["refused"], True)
    tick(work, clock, 300)
    assert (store.tries, work.busy) == (10, False), "its lease lapses, and recovery has it"


@pytest.mark.parametrize("error", [RedisConnectionError("refused"), OutOfMemoryError("OOM")])
def test_a_result_is_kept_and_tried_at_each_tick_while_redis_is_away_or_full(clock: list[float], error: RedisError) -> None:
    store = RefusingStore(error)
    work = Work(cast("WorkerStore", store))
    work.begin(held("refused", 1))
    work.conclude("refused:1", FAILED)
    for _ in range(100):
        clock[0] += 0.1
        with pytest.raises(type(error)):
            work.write_back()
    assert (store.tries, work.busy) == (101, True)


def test_pieces_that_cannot_even_be_read_are_lost(clock: list[float]) -> None:
    store = RefusingStore(ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"))
    work = Work(cast("WorkerStore", store))
    work.put_together(held("file", 1))
    assert (store.written, work.busy) == (["file"], False)
