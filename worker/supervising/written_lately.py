"""Results that were written lately: a failover may have lost them, and then they are written again."""

import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

#: Longer than a replica lags behind its master; of a time without failover.
KEPT_SECONDS = 60.0
MOST_KEPT = 500
T = TypeVar("T")


class WrittenLately(Generic[T]):
    """Redis replicates after it has answered. To write a result twice does no harm: the token of its job fences it."""

    def __init__(self, master: Callable[[], object]) -> None:
        """`master`: which server is written to; None while nobody knows."""
        self._master, self._written_to = master, master()
        self._kept: deque[tuple[float, T]] = deque(maxlen=MOST_KEPT)

    def note(self, result: T) -> None:
        """It has just been written."""
        now = time.monotonic()
        while self._kept and now - self._kept[0][0] > KEPT_SECONDS:
            self._kept.popleft()
        self._kept.append((now, result))

    def to_write_again(self) -> list[T]:
        """What was written to another server than the one that is the master now; each is named once."""
        before, self._written_to = self._written_to, self._master() or self._written_to
        if before is None or before == self._written_to:
            return []
        again = [result for _, result in self._kept]
        self._kept.clear()
        return again
