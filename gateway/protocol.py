"""HTTP's own limits, before a key is looked at: how large the head of a request is, how long it takes, how many connect."""

import resource
import time
from asyncio import TimerHandle, Transport
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway.problems import HeadersTooLarge, RequestTooSlow, problem
from shared.errors import FleetError

#: Request line and headers of one request. Browsers and proxies stay below 16 KB.
MOST_HEAD_BYTES = 64 * 1024
#: From the first byte of a request (of a connection, from its start) until its headers are complete.
HEAD_SECONDS = 10.0
#: Descriptors that are kept for Redis, readers and uploads.
RESERVED_DESCRIPTORS = 512
MOST_DESCRIPTORS = 65_536
FEWEST_CONNECTIONS = 256
#: When the gateway is to end, a request may be on its way to it: idle connections stay open for so long.
LAST_REQUEST_SECONDS = 1.0


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with limits for heads. Beyond the last connection the one goes that has kept us waiting the longest."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_bytes = 0
        self._head_since: float | None = None
        self._head_timer: TimerHandle | None = None
        self._is_refused, self._is_leaving = False, False

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override] # as in uvicorn
        """A client has connected."""
        super().connection_made(transport)
        self._await_head()
        if len(self.connections) > most_connections():
            waiting = [one for one in self.connections if isinstance(one, BoundedProtocol) and one.head_since is not None]
            min(waiting, key=lambda one: one.head_since or 0.0).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone."""
        self._head_is_over()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of a head or of a body."""
        if self._is_refused:
            return
        if self.head_since is not None:
            self._head_bytes += len(data)
        super().data_received(data)
        if self.head_since is not None and self._head_bytes > MOST_HEAD_BYTES:
            self._refuse_large()

    def shutdown(self) -> None:
        """The gateway is to end: what was asked is answered, also what is on its way on a connection that is idle."""
        self._is_leaving = True
        asked: RequestResponseCycle | None = self.cycle
        if asked is not None and not asked.response_complete:
            super().shutdown()
        else:
            self.loop.call_later(LAST_REQUEST_SECONDS, super().shutdown)

    @property
    def head_since(self) -> float | None:
        """When it began to wait for the head of a request that is not complete yet."""
        return self._head_since

    # -- of the parser --------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        if self._head_since is None:
            self._await_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The body follows."""
        self._head_is_over()
        if sum(len(name) + len(value) for name, value in self.headers) + len(self.url) > MOST_HEAD_BYTES:
            # All of it came in one piece.
            self._refuse_large()
        elif not self._is_refused:
            super().on_headers_complete()
            if self._is_leaving:
                self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Some of the body."""
        if not self._is_refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The end of the body."""
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
            # Nobody has asked for anything.
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
    """As many descriptors as the system lets us have, within reason: each connection needs one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def most_connections() -> int:
    """How many connections there may be at a time."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(FEWEST_CONNECTIONS, (MOST_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft) - RESERVED_DESCRIPTORS)
