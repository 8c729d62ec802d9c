"""Redis goes away, comes back, or is full."""

import asyncio
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from tests.faults.experiments.arena import Arena, arena
from tests.faults.zoo import Animal, clip
from tests.processes import DURABLE, Stack, lasting_keys, redis_server, wait_until


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[Arena]:
    """A fleet whose Redis writes every command to disk before it answers."""
    with arena(tmp_path / "durable", redis_options=DURABLE, LEASE_SECONDS="2") as fleet:
        yield fleet


@pytest.mark.parametrize("fsync", ["always", "everysec"])
def test_acknowledged_jobs_survive_a_killed_redis(tmp_path: Path, fsync: str) -> None:
    """With `everysec`, a host that fails may lose the last second. A server process that is killed loses nothing."""
    options = ("--appendonly", "yes", "--appendfsync", fsync, "--save", "")
    with arena(tmp_path / "fleet", redis_options=options, LEASE_SECONDS="2") as fleet:
        running = fleet.submit(Animal.GOOD, 1, milliseconds=2000)
        waiting = [fleet.submit(Animal.GOOD, number) for number in range(2, 12)]
        fleet.runs(running)
        fleet.stack.server.kill()
        started = time.monotonic()
        refused = fleet.client.post("/v1/jobs", content=clip(Animal.GOOD, 99))
        assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
        assert time.monotonic() - started < 1 and int(refused.headers["retry-after"]) >= 1
        fleet.stack.server.start()
        wait_until(lambda: fleet.client.get("/ready").status_code == 200, "the gateway recovers by itself", 20)
        assert [fleet.ended(i)["result"]["transcript"] for i in [running, *waiting]] == [str(n) for n in range(1, 12)]


def test_a_redis_that_hangs_is_told_from_one_that_is_busy(durable: Arena) -> None:
    """There are far more requests than connections: no request waits for its turn at a server that does not answer."""
    job_id = durable.submit(Animal.GOOD, 1)
    durable.ended(job_id)
    server = durable.stack.server.running
    assert server is not None
    reads = [get(f"/v1/jobs/{job_id}")] * 400
    assert {status for status, _ in asyncio.run(herd(durable, reads))} == {200}, "many requests at once are no outage"
    server.signal(signal.SIGSTOP)
    answers = asyncio.run(herd(durable, reads))
    submits = asyncio.run(herd(durable, [post(clip(Animal.GOOD, number)) for number in range(200)]))
    server.signal(signal.SIGCONT)
    assert {status for status, _ in answers + submits} == {503}
    assert max(seconds for _, seconds in answers) < 4
    assert max(seconds for _, seconds in submits) < 2, "no submit waits behind another one's request to Redis"
    wait_until(lambda: durable.client.get("/ready").status_code == 200, "the gateway recovers by itself", 20)


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()


def post(content: bytes) -> bytes:
    head = f"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


async def herd(fleet: Arena, requests: Sequence[bytes]) -> list[tuple[int, float]]:
    """Status and seconds of each of the requests, all sent at once by a client that needs little time itself."""
    host, port = fleet.stack.urls[0].removeprefix("http://").split(":")

    async def ask(request: bytes) -> tuple[int, float]:
        started = time.monotonic()
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(request)
        status = int((await asyncio.wait_for(reader.read(), 30)).split()[1])
        writer.close()
        return status, time.monotonic() - started

    return await asyncio.gather(*(ask(request) for request in requests))


def test_a_long_poll_survives_a_reconnect(durable: Arena) -> None:
    job_id = durable.submit(Animal.GOOD, 3, milliseconds=2500)
    durable.runs(job_id)
    durable.redis.execute_command("CLIENT KILL TYPE pubsub")  # type: ignore[no-untyped-call]
    job = durable.job(job_id, wait=30)
    assert job["status"] == "completed"


def test_a_full_redis_refuses_submits_and_keeps_what_is_queued(durable: Arena) -> None:
    durable.stack.workers.pop().stop()
    key = {"Idempotency-Key": "before"}
    kept = durable.client.post("/v1/jobs", content=clip(Animal.GOOD, 1), headers=key).json()["job_id"]
    client = durable.redis
    keys = lasting_keys(client)
    client.config_set("maxmemory", "1")
    again = durable.client.post("/v1/jobs", content=clip(Animal.GOOD, 1), headers=key)
    assert (again.status_code, again.json()["job_id"]) == (202, kept), "a submit that is sent again needs no memory"
    refused = durable.client.post("/v1/jobs", content=clip(Animal.GOOD, 2))
    assert (refused.status_code, refused.json()["code"]) == (429, "queue_full")
    assert lasting_keys(client) == keys
    client.config_set("maxmemory", "0")
    durable.stack.start_worker()
    assert durable.ended(kept)["result"]["transcript"] == "1"


def test_a_full_queue_is_refused_with_a_time_to_come_back(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        stack = Stack(server=server, folder=tmp_path)
        stack.start_gateway(MAX_QUEUE_AUDIO_SECONDS="2")
        try:
            with stack.client() as client:
                assert [client.post("/v1/jobs", content=clip(Animal.GOOD, n)).status_code for n in (1, 2)] == [202, 202]
                full: httpx.Response = client.post("/v1/jobs", content=clip(Animal.GOOD, 3))
            assert (full.status_code, full.json()["code"]) == (429, "queue_full")
            assert int(full.headers["retry-after"]) >= 1
        finally:
            stack.stop()
