"""Waits for work on a connection of its own, so that the supervisor's loop never blocks on Redis' blocking pop."""

import threading
from collections.abc import Callable

from redis import Redis, RedisError

from shared.jobs.keys import Keys
from shared.settings import WorkerSettings
from worker.queue.routing import ServedLanes
from worker.queue.script_runner import now_ms

#: Longest wait for one ring; a ring that was lost (its worker died between pop and claim) costs no more than this.
RING_SECONDS = 1.0


class Rang:
    """A job may be waiting."""


class Bell:
    """Listens only while asked to: a worker without room must not take rings that another could answer."""

    def __init__(self, redis: Redis, settings: WorkerSettings, lanes: ServedLanes) -> None:
        self._redis, self._settings, self._lanes = redis, settings, lanes
        self._keys = Keys(settings.fleet_prefix)
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

    def wait(self) -> None:
        """Block until a job may be waiting, or for `RING_SECONDS`."""
        route = self._lanes.route
        foreign = () if self._others_are_there() else route.foreign
        mine = [lane for lane in route.lanes if lane not in route.foreign]
        self._redis.blpop([self._keys.bell(self._lanes.name_of(lane)) for lane in (*mine, *foreign)], timeout=RING_SECONDS)

    def _serve(self, deliver: Callable[[Rang], None]) -> None:
        while True:
            self._wanted.wait()
            if self._stopped.is_set():
                return
            self._wanted.clear()
            try:
                self.wait()
            except RedisError:
                self._stopped.wait(RING_SECONDS)
            deliver(Rang())

    def _others_are_there(self) -> bool:
        """Somebody answers the bells of the foreign lanes."""
        route = self._lanes.route
        if not route.foreign:
            return False
        since_ms = now_ms(self._redis) - int(self._settings.lease_seconds * 1000)
        return bool(self._redis.zcount(self._keys.workers_on(route.other_device, self._settings.model_name), since_ms, "+inf"))
