"""Deadlines: once a second one gateway ends the jobs that are overdue. Not the workers: it must happen without any, too."""

import asyncio

from redis.exceptions import RedisError

from gateway.store import JobStore
from shared.logs import get_logger

EXPIRY_SECONDS = 1.0

_LOG = get_logger(__name__)


async def end_overdue_jobs(store: JobStore) -> None:
    """Sweep until cancelled. While Redis is away nothing is swept; the deadlines are still there when it returns."""
    while True:
        await asyncio.sleep(EXPIRY_SECONDS)
        try:
            expired = await store.expire()
        except (RedisError, OSError) as error:
            _LOG.debug("store_away", step="expire", error=type(error).__name__)
        else:
            if expired:
                _LOG.info("expired", jobs=expired)
