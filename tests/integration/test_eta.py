"""How long a job will take: the fleet's estimate, and the measurements that it is made from."""

import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.jobs.scripting import text_hash
from tests.faults.zoo import Animal, clip
from tests.processes import running_stack
from tests.script_driver import KEYS, LANE, ScriptDriver

ZOO: dict[str, Any] = {"WHISPER_ENGINE": "tests.faults.zoo:ZooEngine", "WHISPER_MODEL": "zoo", "WHISPER_BATCH_SIZE": "1"}
DECODE_MS, BURST = 500, 12


def finish_one(fleet: ScriptDriver, name: str, busy_ms: int) -> None:
    fleet.submit(name)
    fleet.finish(name, fleet.claim()["token"], busy_ms=busy_ms)


def pace(fleet: ScriptDriver) -> tuple[int, int]:
    noted = text_hash(fleet.redis.hgetall(KEYS.pace))  # type: ignore[arg-type]
    return int(noted[f"{LANE}:audio_ms"]), int(noted[f"{LANE}:busy_ms"])


def test_results_tell_how_fast_workers_are_with_a_lane(fleet: ScriptDriver) -> None:
    finish_one(fleet, "a", busy_ms=400)
    finish_one(fleet, "b", busy_ms=0)  # decoded together with the first
    assert pace(fleet) == (4000, 400)


def test_the_last_minutes_of_work_count_most(fleet: ScriptDriver) -> None:
    finish_one(fleet, "fast", busy_ms=200)
    for number in range(10):
        finish_one(fleet, f"slow{number}", busy_ms=200_000)
    audio_ms, busy_ms = pace(fleet)
    assert 2000 / 200_000 <= audio_ms / busy_ms < 1.05 * 2000 / 200_000


def submit(client: httpx.Client, number: int, query: str = "") -> dict[str, Any]:
    job: dict[str, Any] = client.post(f"/v1/jobs{query}", content=clip(Animal.GOOD, number, DECODE_MS)).raise_for_status().json()
    return job


@pytest.mark.parametrize("workers", [1, 2])
def test_the_end_of_a_burst_comes_when_it_was_said_to(tmp_path: Path, workers: int) -> None:
    """The estimate holds even if only one job was measured, as after hours with hardly any work."""
    with running_stack(tmp_path / "fleet", workers=workers, **ZOO) as stack, stack.client() as client:
        assert client.get("/stats").json()["drain_rate"] is None
        submit(client, 0, "?wait=30")
        assert client.get("/stats").json()["drain_rate"] > 0
        started = time.monotonic()
        last = [submit(client, number) for number in range(1, BURST + 1)][-1]
        said = last["eta_seconds"] + time.monotonic() - started
        assert client.get(f"/v1/jobs/{last['job_id']}?wait=60").json()["status"] == "completed"
        took = time.monotonic() - started
        assert took / 2 < said < 2 * took, (last["position"], client.get("/stats").json()["drain_rate"])
