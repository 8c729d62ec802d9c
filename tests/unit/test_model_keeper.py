"""When a model process may get jobs; tested without processes."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from shared.settings import WorkerSettings
from worker.messages import ChosenEncoder, Ready
from worker.supervising import model_keeper
from worker.supervising.model_handle import ModelDied
from worker.supervising.model_keeper import ModelKeeper

READY = Ready(model="m", revision="r", device="cuda", encoder=ChosenEncoder(name="e", precision="p"), load_seconds=0.1)


class Handle:
    """A stand-in for a process: records that it was killed."""

    def __init__(self, _settings: object, generation: int, _deliver: Callable[[Any], None]) -> None:
        self.generation, self.pid, self.killed = generation, None, False

    def kill(self) -> None:
        self.killed = True


@pytest.fixture
def keeper(monkeypatch: pytest.MonkeyPatch) -> ModelKeeper:
    """A keeper with a ready process that is replaced after one job; there is no room for two processes."""
    monkeypatch.setattr(model_keeper, "ModelHandle", Handle)
    keeper = ModelKeeper(WorkerSettings(recycle_after_jobs=1), lambda _: None)
    keeper.tick(idle=True)
    keeper.became_ready(READY)
    return keeper


@pytest.mark.parametrize(("start_seconds", "patience_seconds"), [(0.1, 0.4), (7.0, 7.0), (500.0, 120.0)])
def test_a_cancelled_decode_is_waited_for_as_long_as_its_process_took_to_start(
    keeper: ModelKeeper, monkeypatch: pytest.MonkeyPatch, start_seconds: float, patience_seconds: float
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    keeper.died(ModelDied(generation=1, cause="SIGSEGV", rss_bytes=0))
    clock[0] += 60.0
    keeper.tick(idle=True)
    clock[0] += start_seconds
    keeper.became_ready(READY)
    assert keeper.stop_patience_seconds == pytest.approx(patience_seconds)


def test_a_successor_is_waited_for_as_long_as_it_took_to_start_itself(
    keeper: ModelKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [time.monotonic()]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(keeper, "_room_for_two", lambda: True)
    keeper.job_done()
    keeper.tick(idle=False)
    clock[0] += 9.0
    assert not keeper.became_ready(READY)
    assert keeper.stop_patience_seconds == pytest.approx(0.4), "the old process still decodes"
    keeper.tick(idle=True)
    assert keeper.stop_patience_seconds == pytest.approx(9.0)


def test_one_that_is_killed_while_it_is_due_for_replacement_is_replaced_by_an_able_one(keeper: ModelKeeper) -> None:
    keeper.job_done()
    keeper.kill("a cancelled decode did not stop")
    keeper.tick(idle=True)
    keeper.died(ModelDied(generation=1, cause="SIGKILL", rss_bytes=0))
    keeper.tick(idle=True)
    keeper.became_ready(READY)
    assert keeper.has_room


def test_one_that_has_grown_old_takes_no_more_and_goes_when_idle(keeper: ModelKeeper) -> None:
    assert keeper.has_room
    keeper.job_done()
    assert not keeper.has_room
    keeper.tick(idle=False)
    assert keeper.ready is not None, "the process finishes its jobs"
    keeper.tick(idle=True)
    assert keeper.ready is None
