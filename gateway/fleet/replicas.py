"""What is acknowledged outlives a failover: the answer waits until replicas of Redis have the change."""

from dataclasses import dataclass
from typing import Any

import hiredis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.errors import StoreUnavailable
from shared.logs import get_logger

_LOG = get_logger(__name__)
#: Beyond the time that replicas have: Redis' own.
ANSWER_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Replicas:
    """How many must have a change, and how long they may take. `channel` is one that nobody listens to."""

    wanted: int
    seconds: float
    channel: str

    @property
    def commands(self) -> list[bytes]:
        """To be sent behind the change, on its connection.

        WAIT waits for the last write of its connection, from Redis 7.2 on. A submit that is repeated writes nothing, but the
        first one may not have reached the replicas yet: so there is a message that goes to them, and takes no memory.
        """
        mark: Any = ("PUBLISH", self.channel, "")
        wait: Any = ("WAIT", self.wanted, int(self.seconds * 1000))
        return [hiredis.pack_command(mark), hiredis.pack_command(wait)]

    async def confirm(self, connection: Any) -> None:
        """Read what `commands` are answered. Raises `StoreUnavailable` when too few have the change, and redis-py's errors.

        Without a confirmation the connection is closed: it may lead to a server that is no master any more.
        """
        try:
            await connection.read_response()
            reached = await connection.read_response(timeout=self.seconds + ANSWER_SECONDS)
        except ResponseError as error:
            await connection.disconnect(nowait=True)
            _LOG.error("wait_refused", reason=str(error)[:300])
            raise RedisConnectionError("WAIT was refused") from error
        if reached is None or reached < self.wanted:
            await connection.disconnect(nowait=True)
            _LOG.warning("too_few_replicas", wanted=self.wanted, reached=reached)
        if reached is None:
            raise RedisTimeoutError("no answer to WAIT")
        if reached < self.wanted:
            raise StoreUnavailable(
                "This was done, but too few of Redis' replicas have confirmed it in time: a failover might undo it. Try again "
                "shortly; a submit that is sent again with the same Idempotency-Key stays one job."
            )
