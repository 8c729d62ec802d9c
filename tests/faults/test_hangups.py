"""Clients send files that take long to check, and hang up: the files become no jobs, and delay no other client."""

import base64
import json
import os
import socket
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from shared.audio.wav import PcmEncoding, wav_of_pcm
from tests.audio_files import wav
from tests.hostile_files import HOSTILE, varied
from tests.processes import Stack, redis_server, wait_until

#: How many clients hang up.
GONE = 12
#: A clip of a second must be taken within this time, also on a busy machine.
SOON_SECONDS = 2.0


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One gateway without workers: its jobs only wait."""
    folder = tmp_path_factory.mktemp("hangups")
    with redis_server(folder) as running:
        stack = Stack(server=running, folder=folder, environment={"MAX_FILE_SIZE_MB": "60", "API_KEY": "k"})
        stack.start_gateway()
        yield stack
        stack.stop()


def as_json(seconds: int) -> tuple[str, bytes]:
    """A body whose audio a thread must decode from base64."""
    return "application/json", json.dumps({"audio": base64.b64encode(noise(seconds)).decode()}).encode()


def large(seconds: int) -> tuple[str, bytes]:
    """A body that must be hashed, and wait for its turn to be stored."""
    return "audio/wav", noise(5 * seconds)


def slow_to_read(_: int) -> tuple[str, bytes]:
    """A file that keeps its reader busy until the reader's time is over."""
    return "video/mp4", varied(HOSTILE["mp4: stts of 4 billion entries"]())


def noise(seconds: int) -> bytes:
    return wav_of_pcm(os.urandom(seconds * 32_000), PcmEncoding.S16LE, 16_000, 1)


@pytest.mark.parametrize("upload", [as_json, large, slow_to_read])
def test_what_a_client_sent_that_hung_up_becomes_no_job_and_delays_nobody(
    stack: Stack, upload: Callable[[int], tuple[str, bytes]]
) -> None:
    before = _submitted(stack)
    for number in range(GONE):
        kind, body = upload(200 + number)
        _send_and_hang_up(stack, kind, body)
    took = [_seconds_of_a_submit(stack) for _ in range(5)]
    assert max(took) < SOON_SECONDS
    log = stack.gateways[0].log
    wait_until(lambda: log.read_text().count('"status": 0') >= GONE, "their requests are over", 20)
    log.write_text("")
    assert _submitted(stack) - before == len(took), "only the client that stayed has jobs"


def _send_and_hang_up(stack: Stack, kind: str, body: bytes) -> None:
    head = f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nX-API-Key: k\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", stack.port()), timeout=20) as connection:
        connection.sendall(head.encode() + body)


def _seconds_of_a_submit(stack: Stack) -> float:
    started = time.monotonic()
    content = wav(1 + time.time_ns() % 10_000 / 16_000)
    httpx.post(f"{stack.urls[0]}/v1/jobs", content=content, headers={"X-API-Key": "k"}, timeout=30).raise_for_status()
    return time.monotonic() - started


def _submitted(stack: Stack) -> int:
    return int(stack.server.client().hget("fleet:totals", "submitted") or 0)
