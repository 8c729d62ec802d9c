"""Long-polls: one Redis subscription per process wakes the requests that wait for a job when it ends. No request polls Redis."""

import asyncio
import json
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager, suppress

import anyio
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from starlette.requests import ClientDisconnect, Request

from gateway.edge import note_job
from gateway.fleet.store import JobStore, Snapshot, snapshot_of
from gateway.hanging_up import hang_up_of
from gateway.problems import from_redis
from shared.jobs.job import Job
from shared.logs import get_logger

_LOG = get_logger(__name__)
FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS = 0.05, 2.0
#: A subscription that has been silent for SILENCE_SECONDS gets a ping. Without an answer within PONG_SECONDS it counts as lost.
SILENCE_SECONDS, PONG_SECONDS = 10.0, 3.0
#: How soon a waiter tries again after it could not read its job.
BLIND_SECONDS = 1.0


class Watch:
    """One request's wait for a job.

    `woken` is set whenever the job may have ended. `told` is the ended job as JSON if that came with the event, else empty.
    """

    def __init__(self) -> None:
        self.woken = asyncio.Event()
        self.told = ""


class Waiters:
    """Knows which requests wait for which job, and wakes them. Requests are woken only while `run` is running."""

    def __init__(self, redis: "Redis", channel: str) -> None:
        self._redis, self._channel = redis, channel
        self._waiting: dict[str, set[Watch]] = {}
        self._released = False

    @property
    def released(self) -> bool:
        """Whether the process is about to end, so that no request may wait any longer."""
        return self._released

    @contextmanager
    def watch(self, job_id: str) -> Iterator[Watch]:
        """Listen for the end of a job inside the `with`.

        To miss no end: enter, read the job, wait until woken, and read the job again unless `told` has it.
        """
        watch = Watch()
        self._waiting.setdefault(job_id, set()).add(watch)
        try:
            yield watch
        finally:
            watches = self._waiting[job_id]
            watches.discard(watch)
            if not watches:
                del self._waiting[job_id]

    def release(self) -> None:
        """Wake all waiting requests, so that each answers with the present state of its job."""
        self._released = True
        self._wake_all()

    async def run(self) -> None:
        """Listen until cancelled. After each interruption, subscribe again and wake all waiters: they may have missed an end."""
        backoff = FIRST_BACKOFF_SECONDS
        while True:
            began = time.monotonic()
            try:
                await self._listen()
            # ValueError: an event that is not text. It must not end this task, or later events would wake no waiter.
            except (RedisError, OSError, ValueError) as error:
                _LOG.warning("subscription_lost", kind=type(error).__name__, reason=str(error)[:300])
            if time.monotonic() - began > LONGEST_BACKOFF_SECONDS:
                backoff = FIRST_BACKOFF_SECONDS
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, LONGEST_BACKOFF_SECONDS)

    async def _listen(self) -> None:
        async with self._redis.pubsub() as pubsub:
            await pubsub.subscribe(self._channel)
            asked = False
            while True:
                message = await pubsub.get_message(timeout=PONG_SECONDS if asked else SILENCE_SECONDS)
                if message is None:
                    if asked:
                        raise RedisConnectionError("the subscription is silent")
                    await pubsub.ping()
                asked = message is None
                if message and message["type"] == "subscribe":
                    self._wake_all()
                elif message and message["type"] == "message":
                    self._tell(message["data"])

    def _tell(self, event: str) -> None:
        """Wake the waiters of the job that ended. Only these waiters parse the JSON in the event.

        `event` is the message that `tell_of_end` (`parts/endings.lua`) publishes.
        """
        job_id, _, told = event.partition("\n")
        for watch in self._waiting.get(job_id, ()):
            watch.told = told
            watch.woken.set()

    def _wake_all(self) -> None:
        for watches in self._waiting.values():
            for watch in watches:
                watch.woken.set()


class LongPoll:
    """Holds an answer until a job has ended."""

    def __init__(self, store: JobStore, waiters: Waiters) -> None:
        self._store, self._waiters = store, waiters

    async def until_ended(self, request: Request, job_id: str, tenant: str, seconds: float) -> Snapshot:
        """Wait until the job has ended, at most `seconds`, and return it as it is then.

        Raises what `JobStore.read` raises, and `ClientDisconnect` when the caller has hung up, which does not affect the job.
        """
        return await self._until_ended(request, job_id, self._store.read(job_id, tenant), time.monotonic() + seconds)

    async def submitted(self, request: Request, job_id: str, submit: Awaitable[Snapshot], seconds: float) -> Snapshot:
        """Submit a job and wait for its end as `until_ended` does. `job_id` is the id of the job if `submit` creates one.

        Also raises what `submit` raises.
        """
        deadline = time.monotonic() + seconds
        snapshot = await self._until_ended(request, job_id, submit, deadline)
        if snapshot.job.id == job_id or _nothing_to_wait_for(snapshot, deadline):
            return snapshot
        return await self.until_ended(request, snapshot.job.id, snapshot.job.tenant, deadline - time.monotonic())

    async def _until_ended(self, request: Request, job_id: str, look: Awaitable[Snapshot], deadline: float) -> Snapshot:
        """Await `look`, which returns the job, and wait for the job's end. Listening begins before `look`, so no end is missed.

        If `look` returns another job (a submit may find an earlier one), return that job without waiting.
        """
        with self._waiters.watch(job_id) as watch:
            snapshot = await look
            note_job(snapshot.job.id)
            if snapshot.job.id != job_id or _nothing_to_wait_for(snapshot, deadline):
                return snapshot
            hang_up = asyncio.create_task(hang_up_of(request))
            hang_up.add_done_callback(lambda _: watch.woken.set())
            try:
                return await self._wait(watch, hang_up, snapshot, deadline)
            finally:
                hang_up.cancel()
                with suppress(asyncio.CancelledError):
                    await hang_up

    async def _wait(self, watch: Watch, hang_up: "asyncio.Task[None]", last: Snapshot, deadline: float) -> Snapshot:
        blind = False
        while not self._waiters.released and (left := deadline - time.monotonic()) > 0:
            if not await _first(watch.woken, hang_up, min(left, BLIND_SECONDS) if blind else left) and not blind:
                break
            watch.woken.clear()
            seen = snapshot_of(json.loads(watch.told)) if watch.told else await self._look(last.job)
            blind, last = seen is None, seen or last
            if last.job.state.is_terminal:
                return last
        return await self._look(last.job) or last

    async def _look(self, job: Job) -> Snapshot | None:
        """Read the job; None while Redis is away, so that a long wait survives an outage."""
        try:
            return await self._store.read(job.id, job.tenant)
        except RedisError as error:
            if from_redis(error) is None:
                raise
            return None


def _nothing_to_wait_for(snapshot: Snapshot, deadline: float) -> bool:
    return snapshot.job.state.is_terminal or time.monotonic() >= deadline


async def _first(woken: asyncio.Event, hang_up: "asyncio.Task[None]", seconds: float) -> bool:
    """Whether `woken` was set in time. Raises `ClientDisconnect` when the caller has hung up, which also sets `woken`."""
    with anyio.move_on_after(max(0.0, seconds)):
        await woken.wait()
    if hang_up.done():
        raise ClientDisconnect
    return woken.is_set()
