"""Values that a gateway looks up in Redis once for all callers who need them."""

import asyncio
import math
import time
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")

#: How old a value may be: as a rule, and for callers that need it as it is now.
FRESH_SECONDS, NOW = 1.0, 0.0


class Fresh(Generic[T]):
    """A value that is looked up at most once a second, unless a caller needs a newer one.

    All callers that ask during a look-up share its value or its error. So while Redis hangs, a caller waits for one look-up only.
    """

    def __init__(self, look_up: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._look_up = look_up
        self._value: T | None = None
        self._at = -math.inf
        self._under_way: asyncio.Task[T] | None = None

    async def get(self, at_most_seconds_old: float = FRESH_SECONDS) -> T:
        """The value, not older than `at_most_seconds_old`. Raises what the look-up raises."""
        if self._value is not None and time.monotonic() - self._at <= at_most_seconds_old:
            return self._value
        if self._under_way is None:
            self._under_way = asyncio.create_task(self._renew())
            self._under_way.add_done_callback(self._over)
        # The shield keeps the look-up alive for the other callers when one caller is cancelled.
        return await asyncio.shield(self._under_way)

    async def _renew(self) -> T:
        self._value, self._at = await self._look_up(), time.monotonic()
        return self._value

    def _over(self, ended: "asyncio.Task[T]") -> None:
        self._under_way = None
        if not ended.cancelled():
            ended.exception()  # mark the error as seen, even if no caller waits for it any more
