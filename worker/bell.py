"""Waits for work on a connection of its own, so that the supervisor's loop never blocks on Redis' blocking pop."""

import threading
from collections.abc import Callable

from redis import RedisError

from worker.claims import Claims

#: Longest wait for one ring; a ring that was lost (its worker died between pop and claim) costs no more than this.
RING_SECONDS = 1.0


class Rang:
    """A job may be waiting."""


class Bell:
    """Listens only while asked to: a worker without room must not take rings that another could answer."""

    def __init__(self, claims: Claims) -> None:
        self._claims = claims
        self._wanted, self._stopped = threading.Event(), threading.Event()

    def start(self, deliver: Callable[[Rang], None]) -> None:
        """Begin to serve `listen` calls; each leads to one `Rang`."""
        threading.Thread(target=self._serve, args=(deliver,), name="bell", daemon=True).start()

    def listen(self) -> None:
        """Deliver one `Rang` when the bell rings, and at the latest after a second."""
        self._wanted.set()

    def stop(self) -> None:
        """Deliver no more."""
        self._stopped.set()
        self._wanted.set()

    def _serve(self, deliver: Callable[[Rang], None]) -> None:
        while True:
            self._wanted.wait()
            if self._stopped.is_set():
                return
            self._wanted.clear()
            try:
                self._claims.wait_for_bell(RING_SECONDS)
            except RedisError:
                self._stopped.wait(RING_SECONDS)
            deliver(Rang())
