"""A few threads for work that would hold up the event loop, and a bounded line of callers who wait for them."""

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

#: More threads would only slow each other down: hashing and decoding base64 keep a core busy.
MOST_THREADS = 4
NICENESS = 5
#: How many callers may wait for a thread.
MOST_WAITING = 64
#: How long a caller waits at most, for a thread and for the work together.
PATIENCE_SECONDS = 45.0
#: Long work calls this now and then. It raises `ClientDisconnect` when the caller has hung up or has waited too long.
StopIfGone = Callable[[], None]


class Threads:
    """Runs work in threads. When a caller hangs up, its work is dropped, or ends at its next `StopIfGone` if it has begun."""

    def __init__(self, most: int = MOST_THREADS, most_waiting: int = MOST_WAITING) -> None:
        self._limiter, self._most_waiting = anyio.CapacityLimiter(most), most_waiting

    async def run(self, request: Request, work: Callable[[StopIfGone], T]) -> T:
        """Run the work and return its result.

        Raises the errors of the work, `ReadersUnavailable` if too many callers wait or the work is not done in time, and
        `ClientDisconnect` when the caller hangs up.
        """
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
    """Lower this thread's priority: the event loop goes first. Linux has a niceness for each thread; these do nothing else."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _is_heard(working: "asyncio.Task[Any]") -> None:
    """Read the error of work that was dropped: if no code reads it, asyncio logs it."""
    if not working.cancelled():
        working.exception()
