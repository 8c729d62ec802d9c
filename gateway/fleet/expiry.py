"""The sweeps of a gateway: one ends overdue jobs, one repairs lanes after RQ's tools removed jobs. Neither needs a worker."""

import asyncio
from collections.abc import Awaitable, Callable

from redis.exceptions import RedisError

from gateway.fleet.store import JobStore
from shared.logs import get_logger
from shared.redis_server.trouble import Trouble, trouble_of

EXPIRY_SECONDS, RECONCILE_SECONDS = 1.0, 5.0

_LOG = get_logger(__name__)


async def end_overdue_jobs(store: JobStore) -> None:
    """End overdue jobs until cancelled. While Redis is away no job is ended; Redis still has the deadlines when it is back."""

    async def sweep() -> None:
        expired = await store.expire()
        if expired.ids:
            _LOG.info("expired", jobs=expired.ids)
        if expired.broken:
            _LOG.error("broken_records", jobs=expired.broken)

    await _every(EXPIRY_SECONDS, sweep)


async def mend_lanes(store: JobStore) -> None:
    """Compare the lanes with the job records and repair both, until cancelled."""

    async def sweep() -> None:
        mended = await store.reconcile()
        if mended.put_back or mended.canceled or mended.cut_anew:
            _LOG.warning("lanes_mended", put_back=mended.put_back, canceled=mended.canceled, cut_anew=mended.cut_anew)
        if mended.revived:
            _LOG.info("requeued_by_operator", jobs=mended.revived)
        if mended.broken:
            _LOG.error("broken_records", jobs=mended.broken)

    await _every(RECONCILE_SECONDS, sweep)


async def _every(seconds: float, sweep: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await sweep()
        except (RedisError, OSError) as error:
            if isinstance(error, RedisError) and trouble_of(error) is Trouble.OURS:
                _LOG.error("sweep_failed", sweep=sweep.__qualname__, error=str(error)[:300])
            else:
                _LOG.debug("store_away", sweep=sweep.__qualname__, error=type(error).__name__)
