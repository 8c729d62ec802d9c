"""Limits of HTTP itself, which hold before the key is checked: size and duration of a request's head, and open connections.

The head of a request is its request line and headers.
"""

import resource
import time
from asyncio import TimerHandle, Transport
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway.problems import HeadersTooLarge, RequestTooSlow, problem
from shared.errors import FleetError

#: The largest request line and headers together. Browsers and proxies stay below 16 KB.
MOST_HEAD_BYTES = 64 * 1024
#: How long a head may take: from the request's first byte until its headers are complete. For the first request of a connection
#: the time begins when the connection is made.
HEAD_SECONDS = 10.0
#: File descriptors that are reserved for Redis, readers and uploads.
RESERVED_DESCRIPTORS = 512
MOST_DESCRIPTORS = 65_536
FEWEST_CONNECTIONS = 256
#: How long idle connections stay open when the gateway is to end: a request may be on its way on one of them.
LAST_REQUEST_SECONDS = 1.0


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with limits for heads.

    When there are too many connections, the one that has waited longest for a complete head is aborted.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_bytes = 0
        self._head_since: float | None = None
        self._head_timer: TimerHandle | None = None
        self._is_refused, self._is_leaving = False, False

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override] # as in uvicorn
        """A client has connected: start the timer for its first head, and make room if there are too many connections."""
        super().connection_made(transport)
        self._await_head()
        if len(self.connections) > most_connections():
            waiting = [one for one in self.connections if isinstance(one, BoundedProtocol) and one.head_since is not None]
            min(waiting, key=lambda one: one.head_since or 0.0).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._head_is_over()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of a head or of a body have arrived."""
        if self._is_refused:
            return
        before = self.head_since
        if before is not None:
            self._head_bytes += len(data)
        super().data_received(data)
        if self.head_since not in (None, before):
            # The head of a further request began within these bytes, which may also hold the end of the body before it.
            self._head_bytes = 1
        if self.head_since is not None and self._head_bytes > MOST_HEAD_BYTES:
            self._refuse_large()

    def shutdown(self) -> None:
        """The gateway is to end. Requests are answered first, also those that are on their way on an idle connection."""
        self._is_leaving = True
        asked: RequestResponseCycle | None = self.cycle
        if asked is not None and not asked.response_complete:
            super().shutdown()
        else:
            self.loop.call_later(LAST_REQUEST_SECONDS, super().shutdown)

    @property
    def head_since(self) -> float | None:
        """When this connection began to wait for a head that is not complete yet (monotonic seconds), or None."""
        return self._head_since

    # -- callbacks of the parser ----------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """The first byte of a request has been parsed."""
        if self._head_since is None:
            self._await_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is complete, and the body follows."""
        self._head_is_over()
        if sum(len(name) + len(value) for name, value in self.headers) + len(self.url) > MOST_HEAD_BYTES:
            # The whole head came in one piece, so `data_received` could not refuse it.
            self._refuse_large()
        elif not self._is_refused:
            super().on_headers_complete()
            if self._is_leaving:
                self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """A part of the body has been parsed."""
        if not self._is_refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The body is complete."""
        if not self._is_refused:
            super().on_message_complete()

    # -- limits ---------------------------------------------------------------------------------------------------

    def _await_head(self) -> None:
        self._head_since = time.monotonic()
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._refuse_slow)

    def _head_is_over(self) -> None:
        self._head_since, self._head_bytes = None, 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse_large(self) -> None:
        self._refuse(HeadersTooLarge(f"Request line and headers are larger than {MOST_HEAD_BYTES} bytes; send less of them."))

    def _refuse_slow(self) -> None:
        if self._head_bytes:
            self._refuse(RequestTooSlow(f"The headers were not complete after {HEAD_SECONDS:g} s; send them at once."))
        else:
            # No byte was counted as part of a head, so there is no request to answer.
            self.transport.close()

    def _refuse(self, error: FleetError) -> None:
        self._is_refused = True
        self._head_is_over()
        answer = problem(error, {"Connection": "close"})
        head = [f"HTTP/1.1 {answer.status_code} \r\n".encode()]
        head += [name + b": " + value + b"\r\n" for name, value in answer.raw_headers]
        self.transport.write(b"".join([*head, b"\r\n", bytes(answer.body)]))
        self.transport.close()


def raise_descriptor_limit() -> None:
    """Raise the limit of file descriptors as far as the system allows, to MOST_DESCRIPTORS at most. Each connection needs one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def most_connections() -> int:
    """How many connections may be open at a time."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(FEWEST_CONNECTIONS, (MOST_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft) - RESERVED_DESCRIPTORS)
