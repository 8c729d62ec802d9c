"""The gateway's connections to Redis: few, shared in turns, and with a short timeout when Redis does not answer."""

import time
import weakref
from itertools import chain
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelManagedConnection, SentinelManagedSSLConnection
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.maint_notifications import MaintNotificationsConfig

from gateway.fleet.fresh import NOW, Fresh
from shared.redis_server.address import RedisAddress, parsed
from shared.redis_server.connection import DEPOSED, sentinel_options
from shared.redis_server.trouble import is_deposed

CONNECTIONS = 64
CONNECT_SECONDS = 1.0
#: The longest wait for a connection while Redis answers other requests. Thousands of clients may come back at once after a
#: restart; that is no outage.
TURN_SECONDS = 20.0


class HonestConnection(AbstractConnection):
    """Raises redis-py's error if the server has just closed the connection: uvloop raises `RuntimeError` then."""

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        """Send a packed command. Raises redis-py's `ConnectionError` and `TimeoutError`."""
        try:
            await super().send_packed_command(command, check_health)
        except RuntimeError as error:
            raise RedisConnectionError("The connection was closed while it was written to.") from error


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


class MasterPool(TurnPool):
    """A pool of connections to the server that the Sentinels name as the master. When they name another, old ones are closed."""

    #: redis-py's managed connections read these from their pool.
    is_master, check_connection = True, False

    def __init__(self, address: RedisAddress, **options: Any) -> None:
        connection_class = MasterSSLConnection if address.uses_tls else MasterConnection
        super().__init__(**{**options, **address.options, "connection_class": connection_class})
        self.connection_kwargs["connection_pool"] = weakref.proxy(self)
        asking: Any = {**sentinel_options(address), "retry": Retry(NoBackoff(), 0)}
        self._sentinels = Sentinel(address.sentinels, sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
        self._service, self._master = address.service, None
        self._look_up = Fresh(self._ask)

    async def get_master_address(self) -> tuple[str, int]:
        """The master's host and port, for a connection that is about to connect. Raises redis-py's `MasterNotFoundError`."""
        return await self._look_up.get(NOW)

    async def aclose(self) -> None:
        """Close the connections to the server and to the Sentinels."""
        await super().aclose()
        await self._sentinels.aclose()

    async def _ask(self) -> tuple[str, int]:
        found = await self._sentinels.discover_master(self._service)
        if found != self._master:
            self._master = found
            await self._leave_others()
        return found[0], found[1]

    async def _leave_others(self) -> None:
        """Close the connections to other servers, also those in use: an old master that was cut off would answer for seconds."""
        connections: list[Any] = list(chain(self._available_connections, self._in_use_connections))
        for connection in connections:
            if connection.is_connected and (connection.host, connection.port) != self._master:
                await connection.disconnect(nowait=True)


class MasterConnection(SentinelManagedConnection):
    """As the worker's `MasterConnection` in `shared.redis_server.connection`, but for redis-py's asyncio client."""

    async def connect_check_health(self, check_health: bool = True, retry_socket_connect: bool = True) -> None:
        """Connect to the master, unless connected. Raises redis-py's `MasterNotFoundError` and its errors of connecting."""
        if not self.is_connected:
            self.host, self.port = await self.connection_pool.get_master_address()
        await super().connect_check_health(check_health, retry_socket_connect)

    async def _connect_retry(self) -> None:
        await self.connect_check_health(self.connection_pool.check_connection, retry_socket_connect=False)

    async def read_response(self, *arguments: Any, **options: Any) -> Any:
        """The server's answer. Raises redis-py's `ConnectionError` if the answer shows that the server is no master any more."""
        try:
            return await super().read_response(*arguments, **options)
        except ResponseError as error:
            if not is_deposed(error):
                raise
            await self.disconnect(nowait=True)
            raise RedisConnectionError(DEPOSED) from error


class MasterSSLConnection(MasterConnection, SentinelManagedSSLConnection):
    """A `MasterConnection` with TLS."""


def connect(url: str, answer_seconds: float) -> "Redis":
    """A Redis client that waits at most `answer_seconds` for an answer.

    It never repeats a command: Redis may have run a submit even if its answer was lost.
    """
    options: dict[str, Any] = {
        "max_connections": CONNECTIONS,
        "timeout": answer_seconds,
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": answer_seconds,
        "retry": Retry(NoBackoff(), 0),
        "decode_responses": True,
        # With these notifications enabled, redis-py hands out connections that a restarted server has closed.
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
    address = parsed(url)
    pool = MasterPool(address, **options) if address.sentinels else TurnPool.from_url(url, **options)
    pool.connection_class = type("Connection", (HonestConnection, pool.connection_class), {})
    return Redis.from_pool(pool)
