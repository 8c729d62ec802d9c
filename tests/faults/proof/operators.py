"""An operator at rq-dashboard, who empties queues and deletes jobs with RQ's own calls, without the fleet's scripts."""

import random
from collections.abc import Callable, Sized
from contextlib import suppress
from typing import Any

import redis
from rq import Queue
from rq.exceptions import NoSuchJobError
from rq.job import Job as RqJob
from rq.serializers import JSONSerializer

from tests.faults.proof.fleet import Fleet
from tests.faults.proof.history import Action, Operation, Recorder
from tests.processes import wait_until

PATIENCE_SECONDS = 2.0
#: How long the operator looks for a job to click on.
LOOK_SECONDS = 5.0
QUEUES, IN_FLIGHT, FINISHED = "rq:queue:*", "fleet:in_flight", "rq:finished:*"


class Operator:
    """Records each click as an operation. Returns False if there was nothing to click on, or Redis was away before the click."""

    def __init__(self, fleet: Fleet, recorder: Recorder, chance: random.Random) -> None:
        self._redis, self._recorder, self._chance = fleet.redis(PATIENCE_SECONDS), recorder, chance

    def empty_a_queue(self) -> bool:
        """Empty the longest queue."""
        lengths = dict[Any, Any]()
        if not self._found(
            lambda: lengths.update({name: self._redis.llen(name) for name in self._redis.scan_iter(QUEUES)}), lengths
        ):
            return False
        name = max(lengths, key=lambda lane: int(lengths[lane])).decode().removeprefix("rq:queue:")
        queue: Any = Queue(name, connection=self._redis, serializer=JSONSerializer)
        return self._click("rq_empty", name, queue.empty)

    def delete_a_job(self, which: str) -> bool:
        """Delete a job; `which`: waiting, running, finished or piece."""
        found = set[str]()
        if not self._found(lambda: found.update(self._jobs(which)), found):
            return False
        job_id = self._chance.choice(sorted(found))

        def delete() -> None:
            RqJob.fetch(job_id, connection=self._redis, serializer=JSONSerializer).delete()

        return self._click("rq_delete", job_id, delete)

    def _found(self, look: Callable[[], None], found: Sized) -> bool:
        """Look until there is something to click on, for LOOK_SECONDS at most. Returns whether there is."""

        def there_is_one() -> bool:
            with suppress(redis.RedisError):
                look()
            return bool(found)

        with suppress(AssertionError):
            wait_until(there_is_one, "there is something to click on", LOOK_SECONDS)
        return bool(found)

    def _click(self, action: Action, target: str, click: Callable[[], object]) -> bool:
        began, is_lost = self._recorder.now(), False
        try:
            click()
        except NoSuchJobError:
            return False
        except (redis.RedisError, ValueError):
            # `ValueError`: RQ has read an execution that ended meanwhile. It may have done half of the click.
            is_lost = True
        ended = self._recorder.now()
        lost: Any = "timeout" if is_lost else ""
        self._recorder.write(Operation(client="operator", action=action, began=began, ended=ended, target=target, lost=lost))
        return True

    def _jobs(self, which: str) -> set[str]:
        waiting = {job.decode() for name in self._redis.scan_iter(QUEUES) for job in self._listed(name)}
        running = {job.decode() for job in self._members(IN_FLIGHT)}
        if which == "finished":
            return {job.decode() for name in self._redis.scan_iter(FINISHED) for job in self._members(name)}
        if which == "piece":
            return {job for job in waiting | running if "_p" in job}
        return waiting if which == "waiting" else running

    def _listed(self, name: Any) -> list[bytes]:
        jobs: Any = self._redis.lrange(name, 0, -1)
        return list(jobs)

    def _members(self, name: Any) -> list[bytes]:
        members: Any = self._redis.zrange(name, 0, -1)
        return list(members)
