"""Acknowledged changes outlive a failover: the gateway answers only when replicas of Redis have the change."""

from dataclasses import dataclass
from typing import Any

import hiredis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.errors import StoreUnavailable
from shared.logs import get_logger

_LOG = get_logger(__name__)
#: How long Redis may take to answer WAIT, beyond the time that the replicas have.
ANSWER_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Replicas:
    """How many replicas must have a change, and how long they may take. No process listens to `channel`."""

    wanted: int
    seconds: float
    channel: str

    @property
    def commands(self) -> list[bytes]:
        """The commands that the gateway sends after the change, on the same connection.

        From Redis 7.2 on, WAIT waits for the last write of its connection. A repeated submit writes nothing, but the first one
        may not have reached the replicas yet. So there is a message that is sent to the replicas, and takes no memory.
        """
        mark: Any = ("PUBLISH", self.channel, "")
        wait: Any = ("WAIT", self.wanted, int(self.seconds * 1000))
        return [hiredis.pack_command(mark), hiredis.pack_command(wait)]

    async def confirm(self, connection: Any) -> None:
        """Read the answers to `commands`. Raises `StoreUnavailable` if too few replicas have the change, and redis-py's errors.

        Without a confirmation the connection is closed: its server may be no master any more.
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
