"""Whatever a model process does to its pipe, the supervisor learns of its death."""

import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from queue import SimpleQueue
from types import SimpleNamespace

import pytest

from shared.settings import WorkerSettings
from worker.chosen_engine import chosen_engine
from worker.engine_settings import EngineSettings
from worker.messages import FromModel
from worker.supervising import model_handle
from worker.supervising.model_handle import ModelDied, ModelHandle


def talks_nonsense(pipe: Connection, _settings: EngineSettings) -> None:
    """Send bytes that are no message, and keep running."""
    pipe.send_bytes(b"no pickle")
    time.sleep(60)


def hangs_up(pipe: Connection, _settings: EngineSettings) -> None:
    """Close this end of the pipe, and keep running."""
    pipe.close()
    time.sleep(60)


@pytest.mark.parametrize("does", [talks_nonsense, hangs_up])
def test_a_process_that_is_heard_no_more_is_ended_and_its_death_told(
    monkeypatch: pytest.MonkeyPatch, does: Callable[[Connection, EngineSettings], None]
) -> None:
    monkeypatch.setattr(model_handle, "entry", SimpleNamespace(run=does))
    monkeypatch.setattr(model_handle, "LEAVE_SECONDS", 0.5, raising=False)
    events: SimpleQueue[FromModel | ModelDied] = SimpleQueue()
    handle = ModelHandle(chosen_engine(WorkerSettings()), 7, events.put)
    try:
        died = events.get(timeout=20)
    finally:
        handle.close(5)
    assert isinstance(died, ModelDied)
    assert (died.generation, died.cause) == (7, "SIGKILL")
