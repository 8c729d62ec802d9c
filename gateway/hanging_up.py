"""Callers that close their connection while their answer is being worked out."""

import asyncio
from contextlib import suppress
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

T = TypeVar("T")


async def unless_hung_up(request: Request, wanted: "asyncio.Future[T]", seconds: float) -> T:
    """The result of `wanted`. Raises `ClientDisconnect` when the caller is gone before, `TimeoutError` when it takes too long."""
    hang_up = asyncio.create_task(hang_up_of(request))
    try:
        either: set[asyncio.Future[Any]] = {wanted, hang_up}
        done, _ = await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if wanted in done:
            return wanted.result()
        raise ClientDisconnect if done else TimeoutError
    finally:
        wanted.cancel()
        hang_up.cancel()
        with suppress(asyncio.CancelledError):
            await hang_up


async def hang_up_of(request: Request) -> None:
    """Returns when the client has closed the connection. The body must have been read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
