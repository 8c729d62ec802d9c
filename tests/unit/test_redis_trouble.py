"""The meaning of Redis' errors, as redis-py parses the messages of several server versions."""

from collections.abc import Callable

import pytest
from redis._parsers.base import BaseParser
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.sentinel import MasterNotFoundError

from shared.redis_server.trouble import Trouble, is_deposed, trouble_of


@pytest.mark.parametrize(
    ("sent", "means"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", Trouble.FULL),
        ("OOM command not allowed when used memory > 'maxmemory'. script: 5f, on @user_script:1.", Trouble.FULL),
        (
            "ERR Error running script (call to f_5f): @user_script:7: @user_script: 7: -OOM command not allowed.",
            Trouble.FULL,
        ),
        (
            "EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'.",
            Trouble.FULL,
        ),
        ("EXECABORT Transaction discarded because of: READONLY You can't write against a read only replica.", Trouble.AWAY),
        ("MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.", Trouble.AWAY),
        (
            "ERR Error running script (call to f_5f): @user_script:7: @user_script: 7: -MISCONF Errors writing to the AOF",
            Trouble.AWAY,
        ),
        ("LOADING Redis is loading the dataset in memory", Trouble.AWAY),
        ("READONLY You can't write against a read only replica.", Trouble.AWAY),
        ("NOREPLICAS Not enough good replicas to write.", Trouble.AWAY),
        ("UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)", Trouble.AWAY),
        ("BUSY Redis is busy running a script.", Trouble.AWAY),
        ("NOAUTH Authentication required.", Trouble.AWAY),
        ("ERR user_script:12: illegal move of job OOMA: queued -> queued script: 5f", Trouble.OURS),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", Trouble.OURS),
    ],
)
def test_what_a_server_says(sent: str, means: Trouble) -> None:
    parse: Callable[[str], RedisError] = BaseParser.parse_error
    assert trouble_of(parse(sent)) is means


def test_no_connection_is_away() -> None:
    assert trouble_of(RedisConnectionError("refused")) is Trouble.AWAY
    assert trouble_of(MasterNotFoundError("no master found")) is Trouble.AWAY
    assert trouble_of(RedisError("what")) is Trouble.OURS


@pytest.mark.parametrize(
    ("sent", "deposed"),
    [
        ("READONLY You can't write against a read only replica.", True),
        ("ERR Error running script (call to f_5f): @user_script:7: @user_script: 7: -READONLY You can't write", True),
        ("NOREPLICAS Not enough good replicas to write.", True),
        ("UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)", True),
        ("ERR unknown command 'X', with args beginning with: 'READONLY'", False),
    ],
)
def test_a_server_that_may_be_no_master_any_more(sent: str, deposed: bool) -> None:
    parse: Callable[[str], ResponseError] = BaseParser.parse_error
    assert is_deposed(parse(sent)) is deposed
