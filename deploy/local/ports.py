"""Chooses TCP ports for the local stack: the usual ports, or the next free ones."""

import socket
from collections.abc import Mapping


class PortTaken(Exception):
    """A port that the environment names is in use or is not a port number, or no ports are free. The message says which."""


def choose(environment: Mapping[str, str], name: str, usual: int, count: int = 1, host: str = "127.0.0.1") -> int:
    """The first of `count` consecutive free ports.

    If the environment names a port, that one is used; raises `PortTaken` if it is in use or is not a port number. Otherwise the
    search for free ports begins at `usual`; raises `PortTaken` if there are none among the next thousand ports.
    """
    if environment.get(name):
        first = _number(name, environment[name])
        if not all(_is_free(host, first + i) for i in range(count)):
            span = f"{first}" if count == 1 else f"{first} to {first + count - 1}"
            raise PortTaken(f"{name}: port {span} is in use; name another, or leave it out and a free one is chosen.")
        return first
    for first in range(usual, usual + 1000):
        if all(_is_free(host, first + i) for i in range(count)):
            return first
    raise PortTaken(f"No {count} consecutive free ports between {usual} and {usual + 1000}.")


def _number(name: str, given: str) -> int:
    if not given.isdecimal() or not 0 < int(given) < 65_536:
        raise PortTaken(f"{name}={given}: a port between 1 and 65535 is needed.")
    return int(given)


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # Servers set this option, too: with it a port counts as free while its last connections are in TIME_WAIT.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True
