"""Which decodes count as stuck when several share one model, and what happens to results that Redis refuses."""

import time
from typing import cast

import pytest
from redis import RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ResponseError

from shared.jobs.job import Job, JobError
from shared.transcripts.transcript import Transcript
from worker.queue.leased_job import LeasedJob
from worker.queue.leases import Leases
from worker.supervising.decodes import DecodeResult
from worker.supervising.in_flight import InFlight

FAILED = DecodeResult(error=JobError(code="transcription_failed", message="It failed."))


def leased(name: str, audio_seconds: float) -> LeasedJob:
    job = Job.model_validate(
        {"id": name, "state": "running", "tenant": "t", "options": {}, "model": "m", "sha256": "00", "audio_format": "wav",
         "size_bytes": 1, "audio_seconds": audio_seconds, "created_at_ms": 0}
    )  # fmt: skip
    return LeasedJob(job=job, token=1)


def stuck(silent_for_seconds: dict[tuple[str, float], float]) -> list[str]:
    in_flight = InFlight(cast("Leases", None))
    for (name, audio_seconds), silent in silent_for_seconds.items():
        in_flight.begin(leased(name, audio_seconds)).moved_at = time.monotonic() - silent
    return [decode.leased.job.id for decode in in_flight.stuck(limit_seconds=120)]


def test_a_hang_is_not_blamed_on_the_shortest_alone() -> None:
    assert stuck({("culprit", 60): 121, ("neighbour", 3): 121, ("newcomer", 3): 5}) == ["culprit", "neighbour"]


def test_long_audio_has_more_time_while_nobody_else_is_stuck() -> None:
    assert stuck({("long", 600): 150, ("short", 3): 1}) == []
    assert stuck({("long", 600): 181, ("short", 3): 1}) == ["long"]


class RefusingLeases:
    """A stand-in for Redis: refuses writes about the job `refused`, and records the calls."""

    def __init__(self, error: RedisError) -> None:
        self.error, self.tries, self.written, self.renewed = error, 0, list[str](), list[str]()

    def fail(self, leased: LeasedJob, _error: JobError) -> str:
        if leased.job.id == "refused":
            self.tries += 1
            raise self.error
        self.written.append(leased.job.id)
        return "failed"

    def stitch(self, _held: LeasedJob) -> Transcript:
        raise self.error


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which the test advances."""
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    return clock


def tick(in_flight: InFlight, clock: list[float], seconds: int) -> None:
    """Call what the supervisor calls, ten times a second."""
    for _ in range(10 * seconds):
        clock[0] += 0.1
        in_flight.write_back.write()


def test_a_result_refused_by_our_own_mistake_is_tried_ever_less_often_and_given_up(clock: list[float]) -> None:
    leases = RefusingLeases(ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"))
    in_flight = InFlight(cast("Leases", leases))
    for name in ("refused", "good"):
        in_flight.begin(leased(name, 1))
        in_flight.conclude(f"{name}:1", FAILED)
    assert (leases.written, leases.tries) == (["good"], 1)
    tick(in_flight, clock, 2)
    assert (leases.tries, [held.job.id for held in in_flight.held()], in_flight.busy) == (2, ["refused"], True)
    tick(in_flight, clock, 300)
    assert (leases.tries, in_flight.busy) == (10, False), "its lease lapses, and the recovery sweep takes it back"


@pytest.mark.parametrize("error", [RedisConnectionError("refused"), OutOfMemoryError("OOM")])
def test_a_result_is_kept_and_tried_at_each_tick_while_redis_is_away_or_full(clock: list[float], error: RedisError) -> None:
    leases = RefusingLeases(error)
    in_flight = InFlight(cast("Leases", leases))
    in_flight.begin(leased("refused", 1))
    in_flight.conclude("refused:1", FAILED)
    for _ in range(100):
        clock[0] += 0.1
        with pytest.raises(type(error)):
            in_flight.write_back.write()
    assert (leases.tries, in_flight.busy) == (101, True)


def test_pieces_that_cannot_even_be_read_are_lost(clock: list[float]) -> None:
    leases = RefusingLeases(ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"))
    in_flight = InFlight(cast("Leases", leases))
    in_flight.write_back.add_file(leased("file", 1))
    assert (leases.written, in_flight.busy) == (["file"], False)
