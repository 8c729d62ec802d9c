"""How fast a fleet is, and how long a job will take by that."""

import pytest

from gateway.fleet import Load, Pace, paces
from worker.busy_clock import BusyClock

MEASURED = {"demo:audio_ms": "60000", "demo:busy_ms": "20000", "gone:audio_ms": "1000", "gone:busy_ms": "1000"}


def test_the_pace_of_a_model_is_that_of_its_ready_workers() -> None:
    assert paces(MEASURED, {"demo": 2, "unused": 1}) == {"demo": Pace(one=3.0, all=6.0)}


def test_a_result_that_took_no_time_measures_nothing() -> None:
    assert paces({"demo:audio_ms": "1000", "demo:busy_ms": "0"}, {"demo": 1}) == {}


def test_short_audio_is_decoded_by_one_worker_and_long_audio_by_all() -> None:
    pace = Pace(one=3.0, all=6.0)
    assert pace.seconds_for(60, 3, is_shared=False) == 10 + 1
    assert pace.seconds_for(60, 600, is_shared=True) == 10 + 100


def test_what_waits_goes_away_as_fast_as_all_are() -> None:
    busy = Load(2, 1, 90.0, {"a": Pace(1.0, 2.0), "b": Pace(1.0, 1.0)})
    assert (busy.drain_rate, busy.seconds_to_drain()) == (3.0, 30.0)
    unknown = Load(2, 1, 90.0, {})
    assert (unknown.drain_rate, unknown.seconds_to_drain()) == (None, None)


def test_the_clock_runs_while_something_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("worker.busy_clock.time.monotonic", lambda: now[0])

    def after(seconds: float) -> None:
        now[0] += seconds

    clock = BusyClock()
    after(50)
    clock.run(busy=True)
    after(2)
    clock.run(busy=True)
    assert clock.take_seconds() == 2.0
    after(3)
    clock.run(busy=False)
    after(50)
    assert (clock.take_seconds(), clock.take_seconds()) == (3.0, 0.0)
