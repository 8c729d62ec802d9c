"""Redis' clock is set back by an hour: leases, locks and beats from the old time delay no job or process for that hour."""

import pytest

from shared.settings import WorkerSettings
from tests.script_driver import KEYS, PREFIX, ScriptDriver
from worker.queue.register import Register
from worker.queue.routing import ServedLanes
from worker.queue.script_runner import ScriptRunner

HOUR_MS, LEASE_MS = 3_600_000, 10_000


def now_ms(fleet: ScriptDriver) -> float:
    seconds, micros = fleet.redis.time()
    return float(seconds) * 1000 + float(micros) / 1000


def lease_left_ms(fleet: ScriptDriver, job_id: str) -> float:
    score = fleet.redis.zscore(KEYS.in_flight, job_id)
    assert isinstance(score, float)
    return score - now_ms(fleet)


def test_a_lease_of_the_old_time_lapses_after_one_lease(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    fleet.claim()
    fleet.redis.zadd(KEYS.in_flight, {"a": now_ms(fleet) + HOUR_MS})
    assert fleet.recover() == [[], []], "its worker may be alive and renew the lease"
    assert 0 < lease_left_ms(fleet, "a") <= LEASE_MS
    fleet.redis.zincrby(KEYS.in_flight, -LEASE_MS, "a")
    assert fleet.recover() == [["a"], []]


def test_a_lease_of_now_is_left_alone(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    fleet.claim(lease_ms=LEASE_MS + LEASE_MS // 2)
    fleet.recover()
    assert lease_left_ms(fleet, "a") > LEASE_MS


@pytest.mark.parametrize(("left_ms", "turn"), [(None, 1), (900, 0), (HOUR_MS, 1)])
def test_a_lock_of_the_old_time_locks_nobody_out(fleet: ScriptDriver, left_ms: int | None, turn: int) -> None:
    if left_ms is not None:
        fleet.redis.set(f"{PREFIX}:sweeping", "somebody", px=left_ms)
    assert fleet.run("take_turn", what="sweeping", every_ms=1000) == turn
    assert fleet.run("take_turn", what="sweeping", every_ms=1000) == 0
    assert 0 < int(fleet.redis.pttl(f"{PREFIX}:sweeping")) <= 1000


def test_a_worker_that_was_last_heard_of_at_the_old_time_counts_no_more(fleet: ScriptDriver) -> None:
    settings = WorkerSettings(fleet_prefix=PREFIX, whisper_model="demo")
    lanes = ServedLanes(settings)
    lanes.runs_on("cpu")
    kind = KEYS.workers_on("cpu", "demo")
    for name in (KEYS.workers, kind):
        fleet.redis.zadd(name, {"dead": now_ms(fleet) + HOUR_MS})
    register = Register(fleet.redis, ScriptRunner(fleet.redis, settings, "alive"), settings, lanes, "alive")
    register.beat({"state": "ready"}, "r1", (), {}, is_ready=True)
    for name in (KEYS.workers, kind):
        assert fleet.redis.zrange(name, 0, -1) == [b"alive"]
