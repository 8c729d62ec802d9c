"""What an error of Redis means: it is away, it is full, or the mistake is ours.

redis-py has a class for some of Redis' error codes, and takes the code off the text; others it leaves in the text. Redis before
7 wraps errors in scripts into a text of its own ("ERR Error running script ... -OOM command not allowed ...").
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

    #: Try again shortly: it does not answer, is loading, is a replica, cannot write to its disk, or does not let us in.
    AWAY = "away"
    #: What takes memory is refused until something has been freed.
    FULL = "full"
    #: To try again would not help: a script or a command is wrong.
    OURS = "ours"


#: LOADING is a connection error to redis-py.
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
#: A code stands at the front; in a script of Redis 6 behind a dash in the middle.
_CODE = re.compile(r"(?:^|\s-)([A-Z]{3,})\b")


#: Errors of a server that is no master any more, or one that its replicas have left.
_DEPOSED_CODES = frozenset({"READONLY", "NOREPLICAS", "UNBLOCKED"})


def is_deposed(error: ResponseError) -> bool:
    """Whether there may be another master by now: the connection is of no use, and the Sentinels are to be asked again."""
    return isinstance(error, ReadOnlyError) or bool(_DEPOSED_CODES & set(_CODE.findall(str(error))))


def trouble_of(error: RedisError) -> Trouble:
    """What an error means."""
    codes = set(_CODE.findall(str(error))) if isinstance(error, ResponseError) else set[str]()
    if isinstance(error, OutOfMemoryError) or _FULL_CODE in codes:
        return Trouble.FULL
    return Trouble.AWAY if isinstance(error, _AWAY) or codes & _AWAY_CODES else Trouble.OURS
