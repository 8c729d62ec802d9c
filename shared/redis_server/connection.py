"""Connections to the Redis that REDIS_URL names. With Sentinels, each new connection first asks them for the master."""

import threading
from collections.abc import Mapping
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool, SentinelManagedConnection, SentinelManagedSSLConnection

from shared.redis_server.address import RedisAddress, parsed
from shared.redis_server.trouble import is_deposed

#: How long one Sentinel may take to connect, and to answer: they are asked one after another.
SENTINEL_SECONDS = 0.5
DEPOSED = "this server is no master any more, or its replicas have left it"


def connect(url: str, **options: Any) -> Redis:
    """A client with these options of redis-py; options in the URL override them. It connects when it is first used."""
    address = parsed(url)
    if not address.sentinels:
        return Redis.from_url(url, **options)
    finder = _Finder(address.sentinels, sentinel_kwargs=sentinel_options(address))
    connection_class = MasterSSLConnection if address.uses_tls else MasterConnection
    merged = {**options, **address.options, "connection_class": connection_class}
    return Redis.from_pool(SentinelConnectionPool(address.service, finder, **merged))  # type: ignore[no-untyped-call]


def sentinel_options(address: RedisAddress) -> Mapping[str, Any]:
    """redis-py's options of connections to the Sentinels. A Sentinel that does not answer in time is passed over."""
    patience = {"socket_timeout": SENTINEL_SECONDS, "socket_connect_timeout": SENTINEL_SECONDS}
    return {**patience, **address.sentinel_options}


class _Finder(Sentinel):
    """Lets one thread at a time ask: redis-py moves the Sentinel that answered to the front of a list that all threads share."""

    def __init__(self, sentinels: Any, sentinel_kwargs: Mapping[str, Any]) -> None:
        options = {**sentinel_kwargs, "retry": Retry(NoBackoff(), 0)}
        super().__init__(sentinels, sentinel_kwargs=options)  # type: ignore[no-untyped-call]
        self._turn = threading.Lock()

    def discover_master(self, service_name: str) -> tuple[str, int]:
        """The host and port of the master now. Raises redis-py's `MasterNotFoundError`."""
        with self._turn:
            host, port = super().discover_master(service_name)  # type: ignore[no-untyped-call]
            return host, port


class MasterConnection(SentinelManagedConnection):
    """A connection to the current master. When it reconnects, it asks again; redis-py's class goes back to its old server.

    It is closed by an error that says that another server may be the master. redis-py overlooks such errors from scripts.
    """

    def connect_check_health(self, check_health: bool = True, retry_socket_connect: bool = True) -> None:
        """Connect to the master, unless connected. Raises redis-py's `MasterNotFoundError` and its errors of connecting."""
        if self._sock is None:
            self.host, self.port = self.connection_pool.get_master_address()
        super().connect_check_health(check_health, retry_socket_connect)

    def _connect_retry(self) -> None:
        self.connect_check_health(self.connection_pool.check_connection, retry_socket_connect=False)

    def read_response(self, *arguments: Any, **options: Any) -> Any:
        """The server's answer. Raises redis-py's `ConnectionError` if the answer shows that the server is no master any more."""
        try:
            return super().read_response(*arguments, **options)
        except ResponseError as error:
            if not is_deposed(error):
                raise
            self.disconnect()  # type: ignore[no-untyped-call]
            raise RedisConnectionError(DEPOSED) from error


class MasterSSLConnection(MasterConnection, SentinelManagedSSLConnection):
    """A `MasterConnection` with TLS."""
