"""A gateway ends if its background task ends."""

import asyncio
import os
import signal
from functools import partial

import pytest
from starlette.applications import Starlette

from gateway import app
from shared.jobs.lanes import Lane, lane_of


@pytest.mark.parametrize("error", [None, ValueError("a mistake of ours")])
def test_a_background_task_that_ends_takes_the_gateway_along(monkeypatch: pytest.MonkeyPatch, error: Exception | None) -> None:
    sent = list[tuple[int, int]]()
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))

    async def background() -> None:
        if error:
            raise error

    gateway = Starlette()

    async def run() -> None:
        task = asyncio.create_task(background())
        task.add_done_callback(partial(app._end_without, gateway))
        await asyncio.wait([task])
        await asyncio.sleep(0)

    asyncio.run(run())
    assert sent == [(os.getpid(), signal.SIGTERM)]
    assert gateway.state.has_failed, "the exit code says so"


@pytest.mark.parametrize(
    ("queue", "lane"), [("fleet.demo.long", Lane.LONG), ("fleet.v1.5.batch", Lane.BATCH), ("default", None), (None, None)]
)
def test_the_lane_of_a_queue(queue: str | None, lane: Lane | None) -> None:
    assert lane_of(queue) is lane
