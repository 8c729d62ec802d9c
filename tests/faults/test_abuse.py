"""Clients that hold connections, send endless heads, trickle, or send more than there is room for: others are served."""

import contextlib
import resource
import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.audio_files import wav
from tests.processes import Stack, redis_server, wait_until

HALF_A_HEAD = b"GET /health HTTP/1.1\r\nHost: x\r\nX-A: "
MANY, MEGABYTE = 1_500, 1_000_000


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One gateway that accepts files of 30 MB at most."""
    folder = tmp_path_factory.mktemp("abuse")
    with redis_server(folder) as running:
        stack = Stack(server=running, folder=folder, environment={"MAX_FILE_SIZE_MB": "30", "API_KEY": "k"})
        stack.start_gateway()
        yield stack
        stack.stop()


@pytest.fixture
def descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < MANY + 500:
        pytest.skip("this process may not open enough connections")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def connect(stack: Stack) -> socket.socket:
    return socket.create_connection(("127.0.0.1", stack.port()), timeout=40)


def answer(connection: socket.socket) -> bytes:
    """All bytes until the other side closes."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def submit(stack: Stack, seconds: float) -> httpx.Response:
    return httpx.post(f"{stack.urls[0]}/v1/jobs", content=wav(seconds), headers={"X-API-Key": "k"}, timeout=30)


def rss_mb(stack: Stack) -> float:
    return psutil.Process(stack.gateways[0].pid).memory_info().rss / MEGABYTE


def test_half_sent_heads_shut_nobody_out_and_are_cut(stack: Stack, descriptors: None) -> None:
    with contextlib.ExitStack() as opened:
        heads = [opened.enter_context(connect(stack)) for _ in range(MANY)]
        for head in heads:
            head.sendall(HALF_A_HEAD)
        second = opened.enter_context(connect(stack))
        second.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" + HALF_A_HEAD)
        started = time.monotonic()
        for number in range(20):
            submit(stack, 1 + number / 100).raise_for_status()
        assert time.monotonic() - started < 10
        assert b" 408 " in answer(heads[0]).split(b"\r\n")[0]
        assert all(answer(head) for head in heads[1:])
        health, _, refusal = answer(second).partition(b"HTTP/1.1 408 ")
        assert health.startswith(b"HTTP/1.1 200 ") and refusal, "also the head of a further request on a connection"
        assert time.monotonic() - started < 30


@pytest.mark.parametrize("at_once", [True, False])
def test_a_head_without_end_is_refused_before_it_is_held(stack: Stack, at_once: bool) -> None:
    with connect(stack) as connection:
        before = rss_mb(stack)
        connection.sendall(HALF_A_HEAD)
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            for _ in range(100):
                connection.sendall(b"a" * MEGABYTE if at_once else b"a\r\nX-B: " * (MEGABYTE // 8))
        assert rss_mb(stack) < before + 20
    with connect(stack) as connection:
        # Less than a socket's buffer holds, so that the answer is not lost to a reset.
        connection.sendall(HALF_A_HEAD + b"a" * 70_000)
        status, *_ = answer(connection).split(b"\r\n")
    assert b" 431 " in status


def test_a_whole_head_that_is_too_large_is_refused_too(stack: Stack) -> None:
    with connect(stack) as connection:
        connection.sendall(HALF_A_HEAD + b"a" * 70_000 + b"\r\n\r\n")
        assert b"headers_too_large" in answer(connection)


def test_requests_on_one_connection_each_have_their_own_limits(stack: Stack) -> None:
    with stack.client() as client:
        for _ in range(3):
            client.get("/health", headers={"X-A": "a" * 30_000}).raise_for_status()


def test_a_connection_that_asks_for_nothing_is_closed(stack: Stack) -> None:
    with connect(stack) as connection:
        assert answer(connection) == b""


@pytest.mark.parametrize("first_bytes", [0, 2 * MEGABYTE])
def test_a_body_that_trickles_is_dropped(stack: Stack, first_bytes: int) -> None:
    head = b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nX-API-Key: k\r\nContent-Length: 9000000\r\n\r\n"
    with connect(stack) as connection:
        connection.sendall(head + bytes(first_bytes))
        connection.settimeout(0.5)
        started, heard = time.monotonic(), b""
        while not heard and time.monotonic() - started < 30:
            connection.sendall(b"a")
            with contextlib.suppress(TimeoutError):
                heard = connection.recv(65_536)
        connection.settimeout(10)
        heard += answer(connection)
    assert b" 408 " in heard.split(b"\r\n")[0] and b"upload_stalled" in heard


def test_more_audio_than_there_is_room_for_is_told_to_come_again(stack: Stack) -> None:
    before = rss_mb(stack)
    head = b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nX-API-Key: k\r\nContent-Length: 30000000\r\n\r\n"
    with contextlib.ExitStack() as opened:
        stalled = [opened.enter_context(connect(stack)) for _ in range(14)]
        heard = list[bytes]()
        for connection in stalled:
            with contextlib.suppress(OSError):
                connection.sendall(head + bytes(29 * MEGABYTE))
        waited_until = time.monotonic() + 5
        while len(heard) < 4 and time.monotonic() < waited_until:
            readable, _, _ = select.select(stalled, [], [], 1.0)
            heard += [answer(connection) for connection in readable]
            stalled = [connection for connection in stalled if connection not in readable]
        assert rss_mb(stack) < before + 60, "waiting uploads are not on the gateway's heap"
        assert len(heard) >= 4 and all(b" 503 " in one and b"too_many_uploads" in one for one in heard)
        assert httpx.get(f"{stack.urls[0]}/health").status_code == 200

    def is_room() -> bool:
        return submit(stack, 1.5).status_code < 300

    wait_until(is_room, "those that hung up make room", 30)


def test_a_million_keys_are_refused_before_they_are_objects(stack: Stack, tmp_path: Path) -> None:
    body = b"{" + b",".join(b'"k%d":0' % n for n in range(1_000_000)) + b"}"
    before, started = rss_mb(stack), time.monotonic()
    headers = {"X-API-Key": "k", "Content-Type": "application/json"}
    refused = httpx.post(f"{stack.urls[0]}/v1/jobs", content=body[:13_000_000] + b"}", headers=headers, timeout=30)
    assert (refused.status_code, refused.json()["code"]) == (413, "too_large")
    assert time.monotonic() - started < 3 and rss_mb(stack) < before + 60
