"""A reader: takes orders, one at a time, and answers them. It is forked from a process that has everything loaded."""

import errno
import mmap
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from shared.audio.decode import decode
from shared.audio.probe import probe
from shared.audio.walls.limits import Imposed
from shared.audio.walls.messages import MESSAGE_BYTES, Order, Task, Told
from shared.errors import FleetError

#: Exit codes: the reader answered its orders; the socket was closed, so that no more orders come.
EXIT_ANSWERED, EXIT_CLOSED = 0, 3
#: A reader that has probed a file is warm and saves the next file milliseconds. It ends after this many: memory fragments.
MOST_PROBES = 100


def serve(orders: socket.socket) -> int:
    """Wait for orders and answer them; each order reaches one reader only. Returns the exit code.

    The reader ends after any other outcome than a probe's result or an error of audio. So no file meets what an out-of-bounds
    file has left behind, or memory that a decode has taken. It also ends once its niceness was raised, so that the next file does
    not have to give way because the last one had to.
    """
    limits, niceness = Imposed(_private_bytes()), os.nice(0)
    for _ in range(MOST_PROBES):
        message, files, _, _ = socket.recv_fds(orders, MESSAGE_BYTES, 2)
        if not message:
            return EXIT_CLOSED
        order = Order.model_validate_json(message)
        _tell(orders, Told(number=order.number, began_pid=os.getpid()))
        limits.begin(order.limits)
        told = _answer(order, files, limits)
        # Only the answer is left to send: the time must not run out now.
        limits.end()
        _tell(orders, told)
        for file in files:
            os.close(file)
        if (told.info is None and told.error_code is None) or os.nice(0) != niceness:
            break
    return EXIT_ANSWERED


def _answer(order: Order, files: Sequence[int], limits: Imposed) -> Told:
    try:
        content = mmap.mmap(files[0], order.size_bytes, prot=mmap.PROT_READ) if order.size_bytes else b""
        if order.task is Task.PROBE:
            track, max_seconds = order.wanted.track, order.wanted.max_seconds
            info = probe(content, track=track, max_seconds=max_seconds, on_packets=limits.earn)
            return Told(number=order.number, info=info)
        shared = mmap.mmap(files[1], 4 * order.rows * order.capacity)
        buffer = np.frombuffer(shared, np.float32).reshape(order.rows, order.capacity)
        return Told(number=order.number, decoded=decode(content, order.wanted, buffer))
    except MemoryError:
        return Told(number=order.number, exhausted="memory")
    except FleetError as error:
        return Told(number=order.number, error_code=error.code, message=error.message)
    # An unforeseen error counts as the file's fault, so its sender is told; the error's type helps to find the cause.
    except Exception as error:  # noqa: BLE001
        if isinstance(error, OSError) and error.errno == errno.ENOMEM:
            return Told(number=order.number, exhausted="memory")
        return Told(number=order.number, exhausted=f"error {type(error).__name__}")


def _tell(orders: socket.socket, told: Told) -> None:
    message = told.model_dump_json(exclude_defaults=True).encode()
    if len(message) > MESSAGE_BYTES:
        message = Told(number=told.number, exhausted="an answer too large").model_dump_json(exclude_defaults=True).encode()
    with suppress(BrokenPipeError, ConnectionResetError):  # nobody is there any more
        orders.send(message)


def _private_bytes() -> int:
    """Bytes that count towards the limit: private writable memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:")), 0)
