"""A few threads for work that would hold up the event loop, and a line of callers before them that has an end."""

import asyncio
import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from starlette.requests import ClientDisconnect, Request

from gateway.hanging_up import unless_hung_up
from shared.errors import ReadersUnavailable

T = TypeVar("T")

#: More at a time would only hold each other up: hashing and decoding base64 keep a core busy.
MOST_THREADS = 4
NICENESS = 5
#: How many callers may wait for a thread.
MOST_WAITING = 64
#: How long a caller waits for its turn with a thread, and for the work.
PATIENCE_SECONDS = 45.0
#: To be called now and then by work that takes long: raises `ClientDisconnect` once nobody wants it any more.
StopIfGone = Callable[[], None]


class Threads:
    """Work that has not begun is dropped when its caller hangs up; work under way ends at its next look."""

    def __init__(self, most: int = MOST_THREADS, most_waiting: int = MOST_WAITING) -> None:
        self._limiter, self._most_waiting = anyio.CapacityLimiter(most), most_waiting

    async def run(self, request: Request, work: Callable[[StopIfGone], T]) -> T:
        """What the work returns. Raises what it raises, `ReadersUnavailable`, and `ClientDisconnect`."""
        if self._limiter.statistics().tasks_waiting >= self._most_waiting:
            raise ReadersUnavailable("Too many uploads are being looked at; try again in a moment.")
        gone = threading.Event()

        def stop_if_gone() -> None:
            if gone.is_set():
                raise ClientDisconnect

        def behind() -> T:
            _give_way()
            return work(stop_if_gone)

        working = asyncio.create_task(anyio.to_thread.run_sync(behind, limiter=self._limiter))
        working.add_done_callback(_is_heard)
        try:
            return await unless_hung_up(request, working, PATIENCE_SECONDS)
        except TimeoutError as error:
            raise ReadersUnavailable("Too many uploads are being looked at; try again in a moment.") from error
        finally:
            gone.set()


def _give_way() -> None:
    """The event loop goes first, as before readers. Linux keeps niceness by thread, and these threads do nothing else."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _is_heard(working: "asyncio.Task[Any]") -> None:
    """Nobody asks for the error of work that was dropped: without this, asyncio logs it."""
    if not working.cancelled():
        working.exception()
