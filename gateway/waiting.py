"""Long-polls: one Redis subscription per process wakes whoever waits for a job that ends. Nobody polls Redis."""

import asyncio
import json
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import anyio
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from starlette.requests import ClientDisconnect, Request

from gateway.edge import note_job
from gateway.problems import from_redis
from gateway.store import JobStore, Snapshot, snapshot_of
from shared.job import Job
from shared.logs import get_logger

T = TypeVar("T")

_LOG = get_logger(__name__)
FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS = 0.05, 2.0
#: A subscription that has been silent for so long is asked whether it is still there, and given up without an answer.
SILENCE_SECONDS, PONG_SECONDS = 10.0, 3.0
#: How soon a waiter that could not look at its job tries again.
BLIND_SECONDS = 1.0


class Watch:
    """A wait for a job. `woken` is set whenever it may have ended; `told` is how it has (JSON), if that came with the event."""

    def __init__(self) -> None:
        self.woken = asyncio.Event()
        self.told = ""


class Waiters:
    """Who waits for which job. `run` must be running for anybody to be woken."""

    def __init__(self, redis: "Redis", channel: str) -> None:
        self._redis, self._channel = redis, channel
        self._waiting: dict[str, set[Watch]] = {}
        self._released = False

    @property
    def released(self) -> bool:
        """The process is about to end: nobody is to wait any longer."""
        return self._released

    @contextmanager
    def watch(self, job_id: str) -> Iterator[Watch]:
        """Listen for the end of a job. Look at the job after entering, then wait, then look again unless the end was told."""
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
        """Let everybody go with what is known."""
        self._released = True
        self._wake_all()

    async def run(self) -> None:
        """Listen until cancelled; after every interruption subscribe again, and have everybody look for what they missed."""
        backoff = FIRST_BACKOFF_SECONDS
        while True:
            began = time.monotonic()
            try:
                await self._listen()
            # ValueError: an event that is not text. Whoever sent it, nobody may wait in vain for those after it.
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
        """`event` is what `tell_of_end` (`shared/scripts/_endings.lua`) makes of a job's end. Read by those whom it concerns."""
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
        """The job as soon as it has ended, or as it is after so many seconds.

        Raises what `JobStore.read` raises, and `ClientDisconnect` when the caller has hung up; the job does not mind.
        """
        return await self._until_ended(request, job_id, self._store.read(job_id, tenant), time.monotonic() + seconds)

    async def submitted(self, request: Request, job_id: str, submit: Awaitable[Snapshot], seconds: float) -> Snapshot:
        """Submit a job that gets this id if it is a new one, and wait for its end likewise. Raises what `submit` raises, too."""
        deadline = time.monotonic() + seconds
        snapshot = await self._until_ended(request, job_id, submit, deadline)
        if snapshot.job.id == job_id or _nothing_to_wait_for(snapshot, deadline):
            return snapshot
        return await self.until_ended(request, snapshot.job.id, snapshot.job.tenant, deadline - time.monotonic())

    async def _until_ended(self, request: Request, job_id: str, look: Awaitable[Snapshot], deadline: float) -> Snapshot:
        """`look` tells how the job is, or how another is, which is not waited for. By then we listen: no end is missed."""
        with self._waiters.watch(job_id) as watch:
            snapshot = await look
            note_job(snapshot.job.id)
            if snapshot.job.id != job_id or _nothing_to_wait_for(snapshot, deadline):
                return snapshot
            hang_up = asyncio.create_task(_hang_up(request))
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
        """None while Redis is away, which a long wait survives."""
        try:
            return await self._store.read(job.id, job.tenant)
        except RedisError as error:
            if from_redis(error) is None:
                raise
            return None


def _nothing_to_wait_for(snapshot: Snapshot, deadline: float) -> bool:
    return snapshot.job.state.is_terminal or time.monotonic() >= deadline


async def unless_hung_up(request: Request, wanted: "asyncio.Future[T]", seconds: float) -> T:
    """What comes of it. Raises `ClientDisconnect` when the caller is gone before, `TimeoutError` when it takes too long."""
    hang_up = asyncio.create_task(_hang_up(request))
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


async def _first(woken: asyncio.Event, hang_up: "asyncio.Task[None]", seconds: float) -> bool:
    """True when woken in time. Raises `ClientDisconnect`; whoever hangs up wakes, too."""
    with anyio.move_on_after(max(0.0, seconds)):
        await woken.wait()
    if hang_up.done():
        raise ClientDisconnect
    return woken.is_set()


async def _hang_up(request: Request) -> None:
    """Returns when the client has closed the connection. The body must have been read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
