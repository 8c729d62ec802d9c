"""The parts of the load test of Redis that decide what it finds."""

from typing import Any

import pytest

from gateway.fleet.store import Snapshot
from shared.jobs.job import Job, JobState
from shared.jobs.options import TranscriptionOptions
from tests.benchmarks.redis_load.costs import Counters, Disk
from tests.benchmarks.redis_load.generator import fault
from tests.benchmarks.redis_load.instant_model import InstantModel, clip, text_of
from tests.benchmarks.redis_load.measurement import Load
from worker.engine_settings import EngineSettings
from worker.messages import Done, Ready, Stop, Stopped, Transcribe

SETTINGS = EngineSettings(
    factory="-", name="instant", location="", device="cpu", compute_type="default", cpu_threads=1, num_workers=1, batch_size=8,
    encoder="auto", encoder_precision="auto", encoder_threads=1, encoder_window="full", beam_size=5, language=None,
    log_level="INFO", log_format="json",
)  # fmt: skip


def _asked(number: int, hold_ms: int = 0) -> Transcribe:
    options = TranscriptionOptions()
    audio = clip(number, 8_044, hold_ms)
    return Transcribe(attempt_id="a", audio=audio, options=options, max_seconds=60, expected_seconds=0.25, channels=1)


def _job(**fields: Any) -> Snapshot:
    told: list[Any] = []
    InstantModel(SETTINGS, 1, told.append).send(_asked(7))
    known = {"id": "j", "tenant": "t", "options": TranscriptionOptions(), "model": "instant", "sha256": "", "size_bytes": 1}
    more = {"audio_format": "wav", "audio_seconds": 1, "created_at_ms": 1, "attempt": 1, "state": JobState.COMPLETED}
    return Snapshot(Job.model_validate(known | more | fields), told[-1].transcript, "", None)


def test_the_model_answers_each_clip_with_its_own_number() -> None:
    told: list[Any] = []
    model = InstantModel(SETTINGS, 1, told.append)
    for number in (7, 123_456):
        model.send(_asked(number))
    assert isinstance(told[0], Ready)
    assert [event.transcript.transcript for event in told if isinstance(event, Done)] == [text_of(7), text_of(123_456)]
    assert len(clip(7, 96_044)) == 96_044


def test_a_clip_that_is_held_can_be_given_up() -> None:
    told: list[Any] = []
    model = InstantModel(SETTINGS, 1, told.append)
    model.send(_asked(7, hold_ms=60_000))
    model.send(Stop(attempt_id="a"))
    assert [type(event) for event in told] == [Ready, Stopped]


@pytest.mark.parametrize(
    ("ended", "wrong"),
    [
        (_job(), None),
        (None, "lost"),
        (_job(state=JobState.QUEUED), "queued"),
        (_job(attempt=2), "decoded more than once"),
    ],
)
def test_a_job_must_be_there_and_decoded_once(ended: Snapshot | None, wrong: str | None) -> None:
    assert fault(ended, 7) == wrong


def test_a_job_must_have_its_own_transcript() -> None:
    assert fault(_job(), 8) == "with another transcript"


def test_jobs_per_second_are_extrapolated_by_the_main_threads_share() -> None:
    cost = Counters(time=20, main_thread=5, redis=6, rewriting=1, supervisors=9, generator=2, commands=1000)
    load = Load(size="8 KB", setting="always", jobs=4000, cost=cost, disk=Disk(waiting=1, looks=4))
    assert (load.per_second, load.share, load.on_own_core, load.disk.share) == (200, 0.25, 800, 0.25)
    assert load.beside_idle(0.05) == pytest.approx(200 * 0.95 / 0.2)
