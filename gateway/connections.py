"""The gateway's connections to Redis: few, shared in turns, and with short patience when Redis does not answer."""

import time
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.maint_notifications import MaintNotificationsConfig

CONNECTIONS = 64
CONNECT_SECONDS = 1.0
#: Longest wait for a turn while Redis answers others: thousands that come back at once, after a restart, are no outage.
TURN_SECONDS = 20.0


class HonestConnection(AbstractConnection):
    """uvloop raises `RuntimeError` when one is written to that the server has just closed. redis-py knows nothing of that."""

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        """Raises redis-py's `ConnectionError` and `TimeoutError`."""
        try:
            await super().send_packed_command(command, check_health)
        except RuntimeError as error:
            raise RedisConnectionError("The connection was closed while it was written to.") from error


class TurnPool(BlockingConnectionPool):
    """Waits for a free connection as long as Redis answers those who have one, and no longer than one answer when it does not."""

    #: When a connection was last given back in good health.
    _answered_at = float("-inf")
    #: How many wait for their turn.
    _waiting = 0

    async def get_connection(self, command_name: Any = None, *keys: Any, **options: Any) -> Any:  # noqa: ARG002
        """A connection. Raises redis-py's `ConnectionError` when there is no Redis, or no turn."""
        if not self._waiting and self.can_get_connection():
            return await self._take_connection()
        self._waiting += 1
        try:
            return await self._wait_for_connection()
        finally:
            self._waiting -= 1

    async def _take_connection(self) -> Any:
        """A free one is there, and nobody is passed over: without redis-py's lock and timer, which cost more than the rest."""
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
        """Give a connection back. One that failed its user has been closed by then."""
        if connection.is_connected:
            self._answered_at = time.monotonic()
        await super().release(connection)


def connect(url: str, answer_seconds: float) -> "Redis":
    """A client that waits so long for an answer. It repeats no command: a submit without an answer may have happened."""
    pool = TurnPool.from_url(
        url,
        max_connections=CONNECTIONS,
        timeout=answer_seconds,
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=answer_seconds,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
        # While they are on, redis-py hands out connections that a restarted server has closed.
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
    )
    pool.connection_class = type("Connection", (HonestConnection, pool.connection_class), {})
    return Redis.from_pool(pool)
