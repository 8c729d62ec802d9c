"""Keeps the results that were written lately. A failover may lose them; then the worker writes them again."""

import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

#: How long a result is kept: longer than a replica lags behind its master.
KEPT_SECONDS = 60.0
MOST_KEPT = 500
T = TypeVar("T")


class WrittenLately(Generic[T]):
    """Redis replicates a write after it has answered. Writing a result twice does no harm: the job's token fences it."""

    def __init__(self, master: Callable[[], object]) -> None:
        """`master` returns the server to which results are written; None while it is unknown."""
        self._master, self._written_to = master, master()
        self._kept: deque[tuple[float, T]] = deque(maxlen=MOST_KEPT)

    def note(self, result: T) -> None:
        """Note a result that has just been written. Results older than KEPT_SECONDS are dropped."""
        now = time.monotonic()
        while self._kept and now - self._kept[0][0] > KEPT_SECONDS:
            self._kept.popleft()
        self._kept.append((now, result))

    def to_write_again(self) -> list[T]:
        """The kept results, if the master has changed since they were written; else none. Each result is returned once."""
        before, self._written_to = self._written_to, self._master() or self._written_to
        if before is None or before == self._written_to:
            return []
        again = [result for _, result in self._kept]
        self._kept.clear()
        return again
