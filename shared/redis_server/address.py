"""Reads REDIS_URL: the address of a Redis server, or of its Sentinels with the name under which they know it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from redis.connection import ConnectionPool, SSLConnection, parse_url
from redis.exceptions import RedisError

SENTINEL_PORT = 26_379
FORMS = (
    "must be a valid redis://, rediss:// or unix:// address, or one of Sentinels: "
    "redis+sentinel://[user:password@]host[:26379],host[:26379]/service_name[/database]"
)
_OF_SENTINELS = re.compile(
    r"(?P<scheme>rediss?)\+sentinel://(?P<login>[^@/?]*@)?(?P<hosts>[^@/?]+)/(?P<service>[^/?]+)(?:/(?P<database>\d*))?"
    r"(?:\?(?P<query>.*))?"
)
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:\s]+)(?::(?P<port>\d{1,5}))?")
#: Options with the login for the Sentinels; the part before the @ is the login for the servers.
_SENTINEL_LOGIN = {"sentinel_username": "username", "sentinel_password": "password"}
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_UNKNOWN_OPTION = re.compile(r"unexpected keyword argument '(\w+)'")


@dataclass(frozen=True)
class RedisAddress:
    """A checked address. `options` are redis-py's options of connections to the server."""

    options: Mapping[str, Any]
    uses_tls: bool
    #: Host and port of each Sentinel; empty if the address names the server itself.
    sentinels: tuple[tuple[str, int], ...] = ()
    #: The name under which the Sentinels know the server.
    service: str = ""
    sentinel_options: Mapping[str, Any] = field(default_factory=dict)


def parsed(url: str) -> RedisAddress:
    """Read and check an address.

    Raises `ValueError` with a sentence for the operator. The sentence may name options, and holds no other part of the address.
    """
    scheme = url.partition("://")[0].lower()
    address = _of_sentinels(url) if scheme.endswith("+sentinel") else _of_server(url)
    _check(address)
    return address


def without_secrets(url: str) -> str:
    """The address for logs and messages: without users, passwords and options."""
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("?")[0].partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"


def _of_server(url: str) -> RedisAddress:
    try:
        options: dict[str, Any] = parse_url(url)  # type: ignore[no-untyped-call]
    except ValueError as error:
        raise ValueError(FORMS) from error
    return RedisAddress(options, uses_tls=urlsplit(url).scheme == "rediss")


def _of_sentinels(url: str) -> RedisAddress:
    found = _OF_SENTINELS.fullmatch(url)
    if found is None:
        raise ValueError(FORMS)
    query = parse_qsl(found["query"] or "", keep_blank_values=True)
    own = {_SENTINEL_LOGIN[name]: value for name, value in query if name in _SENTINEL_LOGIN}
    for_server = urlencode([(name, value) for name, value in query if name not in _SENTINEL_LOGIN])
    # redis-py cannot read addresses of Sentinels. It reads one of the server itself, with the same options.
    as_server = f"{found['scheme']}://{found['login'] or ''}server/{found['database'] or 0}?{for_server}"
    options = dict(_of_server(as_server).options)
    for name in ("host", "port", "connection_class"):
        options.pop(name, None)
    tls = {name: value for name, value in options.items() if name.startswith("ssl_")}
    return RedisAddress(
        options,
        uses_tls=found["scheme"] == "rediss",
        sentinels=tuple(_host(part) for part in found["hosts"].split(",")),
        service=unquote(found["service"]),
        sentinel_options=own | ({"ssl": True, **tls} if found["scheme"] == "rediss" else {}),
    )


def _host(written: str) -> tuple[str, int]:
    found = _HOST.fullmatch(written)
    if found is None or not 0 < int(found["port"] or SENTINEL_PORT) < 2**16:
        raise ValueError(f"{FORMS}; one of its hosts is not of this form")
    return found["host"].strip("[]"), int(found["port"] or SENTINEL_PORT)


def _check(address: RedisAddress) -> None:
    """Find mistakes that redis-py would report only at the first connection, and not in words for operators."""
    for name in _FILES:
        if name in address.options and not Path(address.options[name]).is_file():
            raise ValueError(f"there is no file where {name} says")
    connecting = dict(address.options)
    if address.sentinels and address.uses_tls:
        connecting["connection_class"] = SSLConnection
    try:
        ConnectionPool(**connecting).make_connection()
    except TypeError as error:
        option = _UNKNOWN_OPTION.search(str(error))
        named = f"the option {option[1]}" if option else "one of its options"
        raise ValueError(f"{named} is unknown to redis-py, or means nothing in an address of this kind") from error
    except (RedisError, ValueError) as error:
        raise ValueError(f"one of its options has a value that redis-py refuses ({type(error).__name__})") from error
