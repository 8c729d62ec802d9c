"""The composition root: makes and connects all parts of a gateway."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

from redis.asyncio import Redis
from redis.exceptions import RedisError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from gateway.access import Access
from gateway.addresses import Prefix
from gateway.browsers import Browsers
from gateway.edge import RequestIds, Shield
from gateway.fleet.connections import connect
from gateway.fleet.expiry import end_overdue_jobs, mend_lanes
from gateway.fleet.fleet import Fleet
from gateway.fleet.store import ANSWER_SECONDS, UPLOAD_SECONDS, JobStore
from gateway.following.waiting import LongPoll, Waiters
from gateway.problems import on_fleet_error, on_http_exception, on_redis_error
from gateway.routes import about, jobs, metrics, shortforms
from gateway.services import Services
from gateway.submitting.probing import Prober
from gateway.submitting.submission import Submitter
from gateway.submitting.upload_budget import Uploads
from shared.audio.walls.readers import Readers
from shared.audio.walls.schedule import PROBE_LANES_SECONDS
from shared.cpu import usable_cores
from shared.errors import FleetError
from shared.jobs.keys import Keys
from shared.logs import get_logger
from shared.settings import GatewaySettings

_LOG = get_logger(__name__)
MOST_READERS = 4
#: Niceness of the reader processes, which probe uploads. They run before the model processes and after the gateway.
READER_NICENESS = 5


def create_app(settings: GatewaySettings) -> Starlette:
    """A gateway, ready to be served. It connects to Redis when it starts, and keeps running while Redis is away."""
    app = Starlette(
        routes=[*jobs.ROUTES, *shortforms.ROUTES, *about.ROUTES, *metrics.ROUTES],  # matched in this order, so submits come first
        middleware=_middleware(settings),
        exception_handlers={HTTPException: on_http_exception, FleetError: on_fleet_error, RedisError: on_redis_error},
        lifespan=_lifespan,
    )
    app.router.redirect_slashes = False
    app.state.settings = settings
    return app


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    settings: GatewaySettings = app.state.settings
    url, keys = settings.redis_url.get_secret_value(), Keys(settings.fleet_prefix)
    redis, uploads = connect(url, ANSWER_SECONDS), connect(url, UPLOAD_SECONDS)
    readers = Readers(_readers_at_once(), READER_NICENESS, PROBE_LANES_SECONDS)
    readers.start()
    app.state.services = services = _assemble(settings, keys, redis, uploads, readers)
    running = (services.waiters.run(), end_overdue_jobs(services.store), mend_lanes(services.store))
    background = [asyncio.create_task(one) for one in running]
    for task in background:
        task.add_done_callback(partial(_end_without, app))
    await services.store.warm_up()
    try:
        yield
    finally:
        services.waiters.release()
        for task in background:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        readers.close()
        await redis.aclose()
        await uploads.aclose()


def _end_without(app: Starlette, task: "asyncio.Task[None]") -> None:
    """Log why a background task has died, and end the gateway: without the task it would look well and leave jobs hanging."""
    if not task.cancelled():
        app.state.has_failed = True
        _LOG.critical("background_task_died", task=task.get_coro().__qualname__, error=repr(task.exception()))  # type: ignore[union-attr]
        os.kill(os.getpid(), signal.SIGTERM)


def _readers_at_once() -> int:
    """How many readers run at a time.

    At least two, so that a slow file does not hold up the others. Otherwise no more than cores: more would slow each other down.
    """
    return max(2, min(MOST_READERS, int(usable_cores())))


def _assemble(settings: GatewaySettings, keys: Keys, redis: "Redis", uploads: "Redis", readers: Readers) -> Services:
    store, fleet, waiters = JobStore(redis, uploads, keys, settings), Fleet(redis, keys, settings), Waiters(redis, keys.events)
    return Services(
        settings=settings,
        store=store,
        fleet=fleet,
        submitter=Submitter(store, fleet, Prober(readers, store, settings), keys, settings),
        waiters=waiters,
        long_poll=LongPoll(store, waiters),
    )


def _middleware(settings: GatewaySettings) -> list[Middleware]:
    """The middleware, outermost first.

    CORS is outside the check of the key, since browsers send preflights without a key, and so that errors get its headers, too.
    """
    cors = Middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=["GET", "HEAD", "POST", "DELETE"],
        allow_headers=["*"],  # SDKs and tracing tools send headers of their own
        expose_headers=["Location", "Retry-After", "X-Request-Id", "X-Job-Id", "ETag"],
    )
    allowed = [cors] if settings.cors_origins else []
    return [
        Middleware(Prefix, root_path=settings.root_path),
        Middleware(RequestIds),
        *allowed,
        Middleware(Shield),
        Middleware(Browsers, settings=settings),
        Middleware(Access, api_key=settings.api_key),
        Middleware(Uploads, settings=settings),
    ]
