"""What an error of Redis means: Redis is away, Redis is full, or the fleet's own code made a mistake.

For some error codes of Redis, redis-py has a class and removes the code from the message. Other codes stay in the message. Redis
before version 7 wraps errors in scripts into a message of its own ("ERR Error running script ... -OOM command not allowed ...").
"""

import re
from enum import Enum

from redis.exceptions import (
    AuthenticationError,
    ClusterDownError,
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError


class Trouble(Enum):
    """What to do about an error of Redis."""

    #: Try again shortly: Redis does not answer, is loading or busy, is a replica, cannot write to its disk, or denies access.
    AWAY = "away"
    #: Redis refuses commands that need memory until some memory has been freed.
    FULL = "full"
    #: A script or a command is wrong, so another try would not help.
    OURS = "ours"


#: redis-py reports LOADING as a connection error.
_AWAY = (
    RedisConnectionError,
    RedisTimeoutError,
    ReadOnlyError,
    MasterDownError,
    ClusterDownError,
    AuthenticationError,
    NoPermissionError,
)
_AWAY_CODES = frozenset(
    {
        "MISCONF",
        "NOREPLICAS",
        "MASTERDOWN",
        "LOADING",
        "READONLY",
        "UNBLOCKED",
        "BUSY",
        "CLUSTERDOWN",
        "DENIED",
        "NOAUTH",
        "NOPERM",
        "UNKILLABLE",
    }
)
_FULL_CODE = "OOM"
#: A code is at the front of the message; in errors of Redis 6 from scripts, it follows a dash in the middle; if Redis has given
#: up a transaction, it follows the reason.
_CODE = re.compile(r"(?:^|\s-|because of: )([A-Z]{3,})\b")


#: Errors of a server that is no master any more, or that has lost its replicas.
_DEPOSED_CODES = frozenset({"READONLY", "NOREPLICAS", "UNBLOCKED"})


def is_deposed(error: ResponseError) -> bool:
    """Whether another server may be the master by now. Then the connection must be closed, and the Sentinels asked again."""
    return isinstance(error, ReadOnlyError) or bool(_DEPOSED_CODES & set(_CODE.findall(str(error))))


def trouble_of(error: RedisError) -> Trouble:
    """What an error of Redis means for the caller."""
    codes = set(_CODE.findall(str(error))) if isinstance(error, ResponseError) else set[str]()
    if isinstance(error, OutOfMemoryError) or _FULL_CODE in codes:
        return Trouble.FULL
    return Trouble.AWAY if isinstance(error, _AWAY) or codes & _AWAY_CODES else Trouble.OURS
