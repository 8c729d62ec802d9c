"""How REDIS_URL is read, and the messages about a REDIS_URL that is wrong."""

import re

import pytest

from shared.redis_server.address import parsed, without_secrets


def test_sentinels_a_name_and_a_database() -> None:
    address = parsed("redis+sentinel://us%40er:p%3Aw@one,two:27000,[::1]:3/the-fleet/2?sentinel_password=x%26y&socket_timeout=3")
    assert address.sentinels == (("one", 26379), ("two", 27000), ("::1", 3))
    assert (address.service, address.uses_tls) == ("the-fleet", False)
    assert address.options == {"username": "us@er", "password": "p:w", "db": 2, "socket_timeout": 3.0}
    assert address.sentinel_options == {"password": "x&y"}


def test_without_a_database_it_is_the_first() -> None:
    assert parsed("redis+sentinel://one/name").options == {"db": 0}
    assert parsed("redis+sentinel://one/name/").options == {"db": 0}


def test_with_tls_the_sentinels_have_it_too() -> None:
    address = parsed("rediss+sentinel://one/name?ssl_cert_reqs=none&sentinel_username=u")
    assert address.uses_tls and address.options == {"db": 0, "ssl_cert_reqs": "none"}
    assert address.sentinel_options == {"ssl": True, "ssl_cert_reqs": "none", "username": "u"}


def test_a_server_by_itself_is_left_to_redis_py() -> None:
    assert parsed("redis://:secret@host:7000/3").options == {"host": "host", "port": 7000, "db": 3, "password": "secret"}
    assert parsed("rediss://host").uses_tls and not parsed("rediss://host").sentinels


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("localhost:6379", "must be a valid redis://"),
        ("redis+sentinel://", "must be a valid redis://"),
        ("redis+sentinel://one,two", "service_name"),
        ("redis+sentinel://one/name/zero", "service_name"),
        ("redis+sentinel://one,/name", "one of its hosts"),
        ("redis+sentinel://one:70000/name", "one of its hosts"),
        ("redis+sentinel://one/name?sentinel_colour=red", "the option sentinel_colour is unknown"),
        ("redis://host/0?colour=red", "the option colour is unknown"),
        ("redis://host/0?ssl_cert_reqs=none", "the option ssl_cert_reqs is unknown"),
        ("rediss://host/0?ssl_ca_certs=/no/such/file", "there is no file where ssl_ca_certs says"),
        ("rediss://host/0?ssl_cert_reqs=maybe", "a value that redis-py refuses"),
    ],
)
def test_a_wrong_address_is_told_in_words_without_secrets(url: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)) as refused:
        parsed(url.replace("://", "://user:secret@", 1))
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:secret@host:6379/0?password=secret", "redis://host:6379/0"),
        ("rediss+sentinel://:secret@one,two:3/name/1?sentinel_password=secret", "rediss+sentinel://one,two:3/name/1"),
        ("unix:///run/redis.sock?password=secret", "unix:///run/redis.sock"),
    ],
)
def test_people_are_shown_no_secret(url: str, shown: str) -> None:
    assert without_secrets(url) == shown
