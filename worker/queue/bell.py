"""Waits for work in a thread and on a connection of its own, so that a blocking pop never blocks the supervisor's loop."""

import threading
from collections.abc import Callable

from redis import Redis, RedisError

from shared.jobs.keys import Keys
from shared.settings import WorkerSettings
from worker.queue.routing import ServedLanes
from worker.queue.script_runner import now_ms

#: Longest wait for one ring: shorter than the connection waits for an answer. A ring is lost if the worker that popped it dies
#: before it claims. Then an idle worker finds the job when it looks (`Intake.look`).
RING_SECONDS = 4.0
#: How long the thread waits before it listens again, after Redis was away.
AGAIN_SECONDS = 1.0


class Rang:
    """A job may be waiting."""


class Bell:
    """Listens only after `listen`: a worker without room must not take a ring that another worker could answer."""

    def __init__(self, redis: Redis, settings: WorkerSettings, lanes: ServedLanes) -> None:
        self._redis, self._settings, self._lanes = redis, settings, lanes
        self._keys = Keys(settings.fleet_prefix)
        self._wanted, self._stopped = threading.Event(), threading.Event()

    def start(self, deliver: Callable[[Rang], None]) -> None:
        """Start the thread that serves `listen`. It passes each `Rang` to `deliver`."""
        threading.Thread(target=self._serve, args=(deliver,), name="bell", daemon=True).start()

    def listen(self) -> None:
        """Deliver one `Rang` when the bell rings, or after Redis was away."""
        self._wanted.set()

    def ignore(self) -> None:
        """Listen no more, after `RING_SECONDS` at the latest: this worker has work, and must not take the ring of an idle one."""
        self._wanted.clear()

    def stop(self) -> None:
        """End the thread: from now on no `Rang` is delivered, except one that is already waited for."""
        self._stopped.set()
        self._wanted.set()

    def wait(self) -> bool:
        """Block until the bell of a served lane rings, for `RING_SECONDS` at most. Returns whether it rang."""
        route = self._lanes.route
        foreign = () if self._others_are_there() else route.foreign
        mine = [lane for lane in route.lanes if lane not in route.foreign]
        bells = [self._keys.bell(self._lanes.name_of(lane)) for lane in (*mine, *foreign)]
        return self._redis.blpop(bells, timeout=RING_SECONDS) is not None

    def _serve(self, deliver: Callable[[Rang], None]) -> None:
        while True:
            self._wanted.wait()
            if self._stopped.is_set():
                return
            if self._has_rung():
                self._wanted.clear()
                deliver(Rang())

    def _has_rung(self) -> bool:
        """Wait for the bell for a while. True also if Redis is away, after a pause."""
        try:
            return self.wait()
        except RedisError:
            self._stopped.wait(AGAIN_SECONDS)
            return True

    def _others_are_there(self) -> bool:
        """Whether workers on the other device were heard of within a lease: they answer the bells of the foreign lanes."""
        route = self._lanes.route
        if not route.foreign:
            return False
        since_ms = now_ms(self._redis) - int(self._settings.lease_seconds * 1000)
        return bool(self._redis.zcount(self._keys.workers_on(route.other_device, self._settings.model_name), since_ms, "+inf"))
