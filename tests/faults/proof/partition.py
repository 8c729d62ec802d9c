"""A proxy on loopback between a worker and Redis. It can hold back all packets, or cut connections."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CHUNK_BYTES = 65_536
#: The value of SO_LINGER that closes a connection at once, with a reset.
_NO_LINGER = struct.pack("ii", 1, 0)


class Proxy:
    """Listens on a free port until it is closed."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._flows, self._is_cut = threading.Event(), False
        self._flows.set()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._serve, name="proxy", daemon=True).start()

    def blackhole(self) -> None:
        """Keep the connections, and let nothing through. What was sent arrives after `heal`, as with TCP."""
        self._flows.clear()

    def cut(self) -> None:
        """Reset all connections, and each new one."""
        self._is_cut = True
        self._reset_all()

    def heal(self) -> None:
        """End `blackhole` and `cut`."""
        self._is_cut = False
        self._flows.set()

    def close(self) -> None:
        """Stop listening, and reset all connections."""
        self._listener.close()
        self._reset_all()
        self._flows.set()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(client,), name="proxy", daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        self._flows.wait()
        try:
            server = socket.create_connection(("127.0.0.1", self._target_port), timeout=5)
        except OSError:
            _reset(client)
            return
        server.settimeout(None)
        with self._lock:
            self._open |= {client, server}
        if self._is_cut:
            self._reset_all()
        for one, other in ((client, server), (server, client)):
            threading.Thread(target=self._pump, args=(one, other), name="proxy", daemon=True).start()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while chunk := one.recv(CHUNK_BYTES):
                self._flows.wait()
                other.sendall(chunk)
        for end in (one, other):
            with self._lock:
                self._open.discard(end)
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _reset_all(self) -> None:
        with self._lock:
            ends, self._open = self._open, set()
        for end in ends:
            _reset(end)


def _reset(end: socket.socket) -> None:
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@contextmanager
def proxy(target_port: int) -> Iterator[Proxy]:
    """A proxy to this port, for the time of a `with`."""
    made = Proxy(target_port)
    try:
        yield made
    finally:
        made.close()
