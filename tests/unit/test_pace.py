"""The speed of a fleet, and the estimate of a job's time from it."""

from dataclasses import dataclass

import pytest

from gateway.fleet.fleet import Load
from gateway.fleet.pace import Measured, Pace
from shared.jobs.keys import Keys
from shared.jobs.lanes import CPU, GPU, Lane
from worker.supervising.busy_clock import BusyClock


@dataclass(frozen=True)
class Ready:
    model: str = "demo"
    device: str = CPU


MIXED = [Ready(), Ready(), Ready(device=GPU), Ready(model="other")]


def measured(**lanes: tuple[int, int]) -> Measured:
    """Audio and busy time (ms) of lanes of the demo model, and of a model that no worker has any more."""
    noted = {"f.gone.long:audio_ms": "1000", "f.gone.long:busy_ms": "1000"}
    for lane, (audio_ms, busy_ms) in lanes.items():
        noted |= {f"f.demo.{lane}:audio_ms": str(audio_ms), f"f.demo.{lane}:busy_ms": str(busy_ms)}
    return Measured(noted, Keys("f"))


def test_clips_and_pieces_of_long_files_have_paces_of_their_own() -> None:
    both = measured(interactive=(6000, 2000), long=(60_000, 2000))
    assert both.pace("demo", Lane.INTERACTIVE, MIXED, is_routed=False) == Pace(one=3.0, all=9.0)
    assert both.pace("demo", Lane.LONG, MIXED, is_routed=False) == Pace(one=30.0, all=90.0)
    assert both.pace("demo", Lane.BATCH, MIXED, is_routed=False) is None
    assert both.pace("other", Lane.LONG, MIXED, is_routed=False) is None


@pytest.mark.parametrize(("lane", "workers"), [(Lane.INTERACTIVE, 2), (Lane.LONG, 1), (Lane.BATCH, 3)])
def test_where_audio_is_routed_those_count_whose_it_is(lane: Lane, workers: int) -> None:
    pace = measured(**{lane.value: (6000, 2000)}).pace("demo", lane, MIXED, is_routed=True)
    assert pace == Pace(one=3.0, all=3.0 * workers)


def test_the_others_count_while_those_are_away() -> None:
    pace = measured(long=(6000, 2000)).pace("demo", Lane.LONG, [Ready(), Ready()], is_routed=True)
    assert pace == Pace(one=3.0, all=6.0)


def test_a_result_that_took_no_time_measures_nothing() -> None:
    assert measured(long=(1000, 0)).pace("demo", Lane.LONG, MIXED, is_routed=False) is None


def test_short_audio_is_decoded_by_one_worker_and_long_audio_by_all() -> None:
    pace = Pace(one=3.0, all=6.0)
    assert pace.seconds_for(60, 3, is_shared=False) == 10 + 1
    assert pace.seconds_for(60, 600, is_shared=True) == 10 + 100


def test_nobody_there_is_no_time_and_no_rate() -> None:
    noted = measured(interactive=(6000, 2000))
    pace = noted.pace("demo", Lane.INTERACTIVE, [], is_routed=False)
    assert pace is not None and pace.seconds_for(60, 3, is_shared=False) is None
    # An alert divides by this rate: without workers, waiting jobs wait forever.
    assert noted.drain_rate([]) == 0.0
    assert Measured({}, Keys("f")).drain_rate(MIXED) is None


def test_what_waits_goes_away_as_fast_as_all_are() -> None:
    noted = measured(interactive=(6000, 2000), long=(60_000, 2000))
    assert noted.drain_rate(MIXED) == 3 * 66_000 / 4000
    assert Load(2, 1, 99.0, 49.5, noted).seconds_to_drain() == 2.0
    assert [Load(2, 1, 99.0, rate, noted).seconds_to_drain() for rate in (None, 0.0)] == [None, None]


def test_the_clock_runs_while_something_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("worker.supervising.busy_clock.time.monotonic", lambda: now[0])

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
