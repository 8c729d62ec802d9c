"""A load generator that costs little: prepared requests over kept connections, with one thread each."""

import socket
import threading
import time
from collections.abc import Sequence

LIMIT_SECONDS = 60.0


class Connection:
    """A kept HTTP connection to a local server."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=LIMIT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answers = self._socket.makefile("rb")

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self._answers.close()
        self._socket.close()

    def exchange(self, request: bytes) -> tuple[int, bytes]:
        """Send a complete request. Returns the answer's status and body."""
        self._socket.sendall(request)
        status, length = int(self._answers.readline().split()[1]), 0
        while (line := self._answers.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        return status, self._answers.read(length)


def request(path: str, body: bytes, content_type: str) -> bytes:
    """A complete POST request."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def send_all(
    port: int, requests: Sequence[bytes], connections: int, per_second: float | None = None
) -> tuple[float, list[float]]:
    """Send all requests, as fast as the answers come or at an even rate. Returns requests per second, and milliseconds of each.

    At a rate, the clock of a request starts when it is due, not when it is sent: a server that stalls delays the next ones, too.
    """
    took: list[float] = []
    begun = time.perf_counter()

    def one_connection(first: int) -> None:
        with Connection(port) as connection:
            for number in range(first, len(requests), connections):
                due = begun + number / per_second if per_second else time.perf_counter()
                time.sleep(max(0.0, due - time.perf_counter()))
                status, body = connection.exchange(requests[number])
                took.append((time.perf_counter() - due) * 1000)
                assert status < 300, body

    threads = [threading.Thread(target=one_connection, args=(n,)) for n in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_SECONDS)
    assert len(took) == len(requests), "some requests were not answered"
    return len(requests) / (time.perf_counter() - begun), took
