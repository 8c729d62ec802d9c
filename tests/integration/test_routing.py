"""CPU and GPU workers in one fleet: short audio goes to CPUs, long audio to GPUs, and each kind helps out the other."""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.faults.zoo import Animal, clip
from tests.processes import Stack, running_stack, wait_until
from tests.script_driver import KEYS, LANE, LONG_LANE, ScriptDriver

#: Arguments of a CPU worker's claim: long audio belongs to the GPUs.
ON_CPU: dict[str, Any] = {"lanes": [LANE, LONG_LANE], "patience": [16, 4], "foreign": [LONG_LANE], "other_device": "cuda"}


def gpu_lives(fleet: ScriptDriver, silent_seconds: float = 0.0) -> None:
    now = fleet.redis.time()[0]
    fleet.redis.zadd(KEYS.workers_on("cuda", "demo"), {"gpu": (now - silent_seconds) * 1000})


def claim_on_cpu(fleet: ScriptDriver, **more: Any) -> list[str]:
    return [job["id"] for job in fleet.claim_several(1, **(ON_CPU | more))]


def test_a_cpu_leaves_long_audio_to_a_gpu_that_lives(fleet: ScriptDriver) -> None:
    fleet.submit("long", lane=LONG_LANE)
    fleet.submit("short")
    gpu_lives(fleet)
    assert claim_on_cpu(fleet) == ["short"]
    assert claim_on_cpu(fleet) == []
    assert fleet.claim_several(1)[0]["id"] == "long"


@pytest.mark.parametrize("silent_seconds", [None, 60.0])
def test_it_takes_it_when_there_is_no_gpu_or_none_that_is_heard_of(fleet: ScriptDriver, silent_seconds: float | None) -> None:
    fleet.submit("long", lane=LONG_LANE)
    if silent_seconds is not None:
        gpu_lives(fleet, silent_seconds)
    assert claim_on_cpu(fleet) == ["long"]


def test_it_takes_it_when_the_gpus_are_far_behind(fleet: ScriptDriver) -> None:
    fleet.submit("long", lane=LONG_LANE)
    gpu_lives(fleet)
    fleet.redis.hset(KEYS.job("long"), "queued_at_ms", int(fleet.redis.time()[0]) * 1000 - 20_000)
    assert claim_on_cpu(fleet, spill_ms=30_000) == []
    assert claim_on_cpu(fleet, spill_ms=10_000) == ["long"]


def device_of(stack: Stack, seconds: float, number: int) -> str:
    """Submit audio of this length. Returns the device on which it was decoded."""
    with stack.client() as client:
        job = client.post("/v1/jobs?wait=30", content=clip(Animal.GOOD, number, seconds=seconds)).raise_for_status().json()
        return str(job["result"]["device"])


def measured(stack: Stack) -> set[str]:
    """The devices of the workers whose speed is known."""
    with stack.client() as client:
        cards = client.get("/stats").json()["workers"]
    return {card["device"] for card in cards if card["real_time_factor"] is not None}


def test_a_fleet_of_both_kinds(tmp_path: Path) -> None:
    routed = {"ROUTE_SHORT_TO_CPU_SECONDS": "10", "WHISPER_ENGINE": "tests.faults.zoo:ZooEngine", "LEASE_SECONDS": "2"}
    with running_stack(tmp_path / "fleet", **routed) as stack:  # type: ignore[arg-type]
        gpu = stack.start_worker(ZOO_DEVICE="cuda")
        stack.wait_ready(workers=2)
        assert [device_of(stack, 3.0, n) for n in range(3)] == ["cpu"] * 3
        assert [device_of(stack, 20.0, 10 + n) for n in range(3)] == ["cuda"] * 3
        wait_until(lambda: measured(stack) == {"cpu", "cuda"}, "both kinds tell their real-time factor", 5)
        gpu.stop()
        started = time.monotonic()
        assert device_of(stack, 20.0, 20) == "cpu"
        assert time.monotonic() - started < 10
