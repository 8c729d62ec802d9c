"""Measures how long a worker has something to decode: the basis of its pace, since jobs side by side share the same seconds."""

import time


class BusyClock:
    """Runs while there is something to decode."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._counted_seconds = 0.0

    def run(self, *, busy: bool) -> None:
        """Say whether there is something to decode from now on."""
        now = time.monotonic()
        if self._since is not None:
            self._counted_seconds += now - self._since
        self._since = now if busy else None

    def take_seconds(self) -> float:
        """The busy time since the previous call."""
        self.run(busy=self._since is not None)
        taken, self._counted_seconds = self._counted_seconds, 0.0
        return taken
