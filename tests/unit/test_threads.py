"""Threads for slow checks: only so many callers may wait for them, and the work of a caller who hangs up is dropped."""

import asyncio
import threading
from collections.abc import Callable

import pytest
from starlette.requests import ClientDisconnect, Request

from gateway.submitting.threads import StopIfGone, Threads
from shared.errors import ReadersUnavailable

ENOUGH_SECONDS = 10.0


class Caller:
    """A client that has sent its body, and may hang up."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        self.request = Request({"type": "http"}, self._receive)

    async def _receive(self) -> dict[str, str]:
        await self.gone.wait()
        return {"type": "http.disconnect"}


def busy_until(event: threading.Event, begun: threading.Event) -> Callable[[StopIfGone], str]:
    """Work that calls `stop_if_gone` now and then."""

    def work(stop_if_gone: StopIfGone) -> str:
        begun.set()
        while not event.wait(0.01):
            stop_if_gone()
        return "done"

    return work


def test_the_line_has_an_end_and_those_in_it_have_their_turn() -> None:
    async def scene() -> None:
        threads, let_go, begun = Threads(most=1, most_waiting=2), threading.Event(), threading.Event()
        taken = [asyncio.create_task(threads.run(Caller().request, busy_until(let_go, begun))) for _ in range(3)]
        await asyncio.to_thread(begun.wait, ENOUGH_SECONDS)
        with pytest.raises(ReadersUnavailable):
            await threads.run(Caller().request, busy_until(let_go, begun))
        let_go.set()
        assert await asyncio.gather(*taken) == ["done"] * 3

    asyncio.run(asyncio.wait_for(scene(), ENOUGH_SECONDS))


def test_work_is_dropped_with_its_caller_whether_it_has_begun_or_not() -> None:
    async def scene() -> None:
        threads, never, first_begun, second_begun = Threads(most=1), threading.Event(), threading.Event(), threading.Event()
        first, second = Caller(), Caller()
        working = asyncio.create_task(threads.run(first.request, busy_until(never, first_begun)))
        await asyncio.to_thread(first_begun.wait, ENOUGH_SECONDS)
        waiting = asyncio.create_task(threads.run(second.request, busy_until(never, second_begun)))
        second.gone.set()
        with pytest.raises(ClientDisconnect):
            await waiting
        first.gone.set()
        with pytest.raises(ClientDisconnect):
            await working
        # The thread is free again, although its work would never have ended.
        assert await threads.run(Caller().request, lambda _: "next") == "next"
        assert not second_begun.is_set()

    asyncio.run(asyncio.wait_for(scene(), ENOUGH_SECONDS))


def test_an_error_of_the_work_is_its_callers() -> None:
    def fail(_: StopIfGone) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        asyncio.run(Threads().run(Caller().request, fail))
