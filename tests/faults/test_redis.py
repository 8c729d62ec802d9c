"""Redis goes away, comes back, or is full."""

import time
from collections.abc import Iterator
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


def test_acknowledged_jobs_survive_a_killed_redis(durable: Arena) -> None:
    running = durable.submit(Animal.GOOD, 1, milliseconds=2000)
    waiting = [durable.submit(Animal.GOOD, number) for number in range(2, 12)]
    durable.runs(running)
    durable.stack.server.kill()
    started = time.monotonic()
    refused = durable.client.post("/v1/jobs", content=clip(Animal.GOOD, 99))
    assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
    assert time.monotonic() - started < 2 and int(refused.headers["retry-after"]) >= 1
    durable.stack.server.start()
    wait_until(lambda: durable.client.get("/ready").status_code == 200, "the gateway recovers by itself", 20)
    assert [durable.ended(i)["result"]["transcript"] for i in [running, *waiting]] == [str(n) for n in range(1, 12)]


def test_a_long_poll_survives_a_reconnect(durable: Arena) -> None:
    job_id = durable.submit(Animal.GOOD, 3, milliseconds=2500)
    durable.runs(job_id)
    durable.redis.execute_command("CLIENT KILL TYPE pubsub")  # type: ignore[no-untyped-call]
    job = durable.job(job_id, wait=30)
    assert job["status"] == "completed"


def test_a_full_redis_refuses_submits_and_keeps_what_is_queued(durable: Arena) -> None:
    durable.stack.workers.pop().stop()
    kept = durable.submit(Animal.GOOD, 1)
    client = durable.redis
    keys = lasting_keys(client)
    client.config_set("maxmemory", "1")
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
