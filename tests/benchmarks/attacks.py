"""`python -m tests.benchmarks.attacks NAME PORT`: an attacker who holds connections, or sends more than there is room for.

It is a process of its own, like an attacker on another machine, and has a low priority beside the fleet. It prints `begun` once
it has begun. At the end it prints as JSON when the last of its connections was cut, and the answers that it got.
"""

import json
import os
import resource
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

NICENESS, LONGEST_SECONDS, MEGABYTE = 10, 60.0, 1_000_000
HEADS, TRICKLES, UPLOADS, UPLOAD_MB, HEADER_MB, KEYS_MB = 1_500, 200, 30, 95, 100, 12
HALF_A_HEAD = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-A: "
OF_AN_UPLOAD = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (
    UPLOAD_MB * MEGABYTE
)


def half_heads(connections: list[socket.socket]) -> None:
    """Send half of a request's head on each connection, and no more."""
    for connection in connections:
        connection.sendall(HALF_A_HEAD)


def trickles(connections: list[socket.socket]) -> None:
    """Send one byte a second on each connection, as long as any connection is open."""
    listening = connections
    for connection in listening:
        connection.sendall(OF_AN_UPLOAD)
    ends_at = time.monotonic() + LONGEST_SECONDS
    while listening and time.monotonic() < ends_at:
        time.sleep(1.0)
        listening = [connection for connection in listening if _goes(connection, b"a")]


def large_header(connections: list[socket.socket]) -> None:
    """Send a header that does not end."""
    if _goes(connections[0], HALF_A_HEAD):
        any(not _goes(connections[0], b"a" * MEGABYTE) for _ in range(HEADER_MB))


def many_keys(connections: list[socket.socket]) -> None:
    """Send a JSON body with a million keys."""
    keys = (b"{" + b",".join(b'"k%d":0' % number for number in range(MEGABYTE)))[: KEYS_MB * MEGABYTE] + b"}"
    head = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
    _goes(connections[0], head + b"Content-Length: %d\r\n\r\n" % len(keys) + keys)


def uploads(connections: list[socket.socket]) -> None:
    """Upload on all connections at once, as fast as the gateway takes the bytes."""

    def one(connection: socket.socket) -> None:
        if _goes(connection, OF_AN_UPLOAD):
            any(not _goes(connection, bytes(MEGABYTE)) for _ in range(UPLOAD_MB))

    _all_at_once(one, connections)


#: By name: the attack, and its number of connections.
ATTACKS: dict[str, tuple[Callable[[list[socket.socket]], None], int]] = {
    "half-sent heads": (half_heads, HEADS),
    "bodies that trickle": (trickles, TRICKLES),
    "a header of 100 MB": (large_header, 1),
    "12 MB of keys": (many_keys, 1),
    "uploads of 95 MB": (uploads, UPLOADS),
}


def _goes(connection: socket.socket, content: bytes) -> bool:
    """Send bytes. Returns whether that was possible."""
    with suppress(OSError):
        connection.sendall(content)
        return True
    return False


def _all_at_once(one: Callable[[socket.socket], None], connections: list[socket.socket]) -> None:
    threads = [threading.Thread(target=one, args=(connection,)) for connection in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main(name: str, port: int) -> None:
    """Attack, wait until all connections are cut, and print the outcome."""
    os.nice(NICENESS)
    attack, count = ATTACKS[name]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    started, ended, answers = time.monotonic(), list[float](), Counter[str]()
    connections = [socket.create_connection(("127.0.0.1", port), LONGEST_SECONDS) for _ in range(count)]

    def hear(connection: socket.socket) -> None:
        heard = b""
        with suppress(OSError):
            while part := connection.recv(65_536):
                heard += part
        ended.append(time.monotonic() - started)
        answers[heard[9:12].decode() or "none"] += 1

    print("begun", flush=True)
    acting = threading.Thread(target=attack, args=(connections,), daemon=True)
    acting.start()
    _all_at_once(hear, connections)
    print(json.dumps({"last_cut_seconds": max(ended), "answers": answers}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
