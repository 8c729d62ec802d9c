"""The gateway's connections to Redis, where Redis ends them."""

import asyncio
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.fleet.connections import connect


class ClosedTransport:
    """As uvloop's, when the server has just closed it."""

    def writelines(self, _: Any) -> None:
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True reading=False>; the handler is closed")

    def close(self) -> None:
        """It is."""


async def test_a_connection_that_is_closed_while_it_is_written_to_is_an_absence_of_redis() -> None:
    pool: Any = connect("redis://127.0.0.1:1/0", 1.0).connection_pool
    connection = pool.make_connection()
    connection._reader, connection._writer = asyncio.StreamReader(), ClosedTransport()
    with pytest.raises(RedisConnectionError):
        await connection.send_packed_command([b"PING\r\n"], check_health=False)
    assert not connection.is_connected
