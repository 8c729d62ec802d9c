"""Who counts as stuck when decodes share one model."""

import time
from typing import cast

from shared.job import Job
from worker.held import Held
from worker.store import WorkerStore
from worker.work import Work


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
