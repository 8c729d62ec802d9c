"""The gateway's connections to Redis: few, shared in turns, and with a short timeout when Redis does not answer."""

import time
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.maint_notifications import MaintNotificationsConfig

CONNECTIONS = 64
CONNECT_SECONDS = 1.0
#: The longest wait for a connection while Redis answers other requests. Thousands of clients may come back at once after a
#: restart; that is no outage.
TURN_SECONDS = 20.0


class TurnPool(BlockingConnectionPool):
    """A pool whose callers wait in turn for a free connection.

    While Redis answers on other connections, a caller waits up to TURN_SECONDS. When Redis does not answer, the caller waits no
    longer than one answer may take.
    """

    #: When a caller last gave back a connection that still worked (monotonic seconds).
    _answered_at = float("-inf")
    #: How many callers wait for a connection.
    _waiting = 0

    async def get_connection(self, command_name: Any = None, *keys: Any, **options: Any) -> Any:  # noqa: ARG002
        """Returns a connection. Raises redis-py's `ConnectionError` when Redis is away or no connection became free in time."""
        if not self._waiting and self.can_get_connection():
            return await self._take_connection()
        self._waiting += 1
        try:
            return await self._wait_for_connection()
        finally:
            self._waiting -= 1

    async def _take_connection(self) -> Any:
        """Take a free connection when no other caller waits for one.

        This avoids redis-py's lock and timer, which cost more than all other work here.
        """
        connection: Any = self.get_available_connection()  # type: ignore[no-untyped-call]
        try:
            await self.ensure_connection(connection)
        except BaseException:
            await self.release(connection)
            raise
        return connection

    async def _wait_for_connection(self) -> Any:
        deadline = time.monotonic() + TURN_SECONDS
        while True:
            try:
                return await super().get_connection()  # type: ignore[no-untyped-call]
            except RedisConnectionError as error:
                now, waited = time.monotonic(), isinstance(error.__cause__, TimeoutError)
                if not waited or now > deadline or now - self._answered_at > (self.timeout or 0):
                    raise

    async def release(self, connection: Any) -> None:
        """Give a connection back. A connection that failed is already closed at this point."""
        if connection.is_connected:
            self._answered_at = time.monotonic()
        await super().release(connection)


def connect(url: str, answer_seconds: float) -> "Redis":
    """A Redis client that waits at most `answer_seconds` for an answer.

    It never repeats a command: Redis may have run a submit even if its answer was lost.
    """
    pool = TurnPool.from_url(
        url,
        max_connections=CONNECTIONS,
        timeout=answer_seconds,
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=answer_seconds,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
        # With these notifications enabled, redis-py hands out connections that a restarted server has closed.
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
    )
    return Redis.from_pool(pool)
