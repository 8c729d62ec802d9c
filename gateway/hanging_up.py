"""Notices callers that close their connection before they get their answer."""

import asyncio
from contextlib import suppress
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

T = TypeVar("T")


async def unless_hung_up(request: Request, wanted: "asyncio.Future[T]", seconds: float) -> T:
    """Wait for `wanted` and return its result.

    Raises `ClientDisconnect` when the caller hangs up first, and `TimeoutError` after `seconds`. Cancels `wanted` then.
    """
    hang_up = asyncio.create_task(hang_up_of(request))
    try:
        either: set[asyncio.Future[Any]] = {wanted, hang_up}
        done, _ = await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if hang_up in done:
            raise ClientDisconnect
        if not done:
            raise TimeoutError
        return wanted.result()
    finally:
        wanted.cancel()
        hang_up.cancel()
        with suppress(asyncio.CancelledError):
            await hang_up


async def hang_up_of(request: Request) -> None:
    """Returns when the client has closed the connection. Read the request's body before you call this."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
