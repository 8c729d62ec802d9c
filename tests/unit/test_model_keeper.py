"""When a model process may be sent jobs, without processes."""

from collections.abc import Callable
from typing import Any

import pytest

from shared.settings import WorkerSettings
from worker import model_keeper
from worker.messages import Ready
from worker.model_handle import ModelDied
from worker.model_keeper import ModelKeeper

READY = Ready(model="m", revision="r", device="cuda", load_seconds=0.1)


class Handle:
    """In place of a process: notes that it was killed."""

    def __init__(self, _settings: object, generation: int, _deliver: Callable[[Any], None]) -> None:
        self.generation, self.pid, self.killed = generation, None, False

    def kill(self) -> None:
        self.killed = True


@pytest.fixture
def keeper(monkeypatch: pytest.MonkeyPatch) -> ModelKeeper:
    """With a ready process that is replaced after one job; no room for two."""
    monkeypatch.setattr(model_keeper, "ModelHandle", Handle)
    keeper = ModelKeeper(WorkerSettings(recycle_after_jobs=1), lambda _: None)
    keeper.tick(idle=True)
    keeper.became_ready(READY)
    return keeper


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
    assert keeper.ready is not None, "it finishes what it has"
    keeper.tick(idle=True)
    assert keeper.ready is None
