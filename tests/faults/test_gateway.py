"""Gateways that are killed, clients that hang up, and many clients that wait."""

import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from tests.faults.experiments.arena import Arena, arena
from tests.faults.zoo import Animal, clip
from tests.processes import wait_until

WAITERS, WATCHED_SECONDS = 150, 2.0


def test_a_gateway_killed_during_submits_leaves_whole_jobs_or_none(tmp_path: Path) -> None:
    with arena(tmp_path / "fleet") as fleet:
        known: list[str] = []
        killing = threading.Event()

        def submit(number: int) -> None:
            try:
                answer = httpx.post(f"{fleet.stack.urls[0]}/v1/jobs", content=clip(Animal.GOOD, number), timeout=5)
                known.append(answer.raise_for_status().json()["job_id"])
            except httpx.TransportError:
                return
            if len(known) >= 100 and not killing.is_set():
                killing.set()
                fleet.stack.gateways[0].signal(signal.SIGKILL)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(submit, range(400)))
        assert 100 <= len(known) < 400, "the gateway was killed during the submits"
        fleet.stack.restart_gateway(0)
        wait_until(lambda: _answers(fleet), "another gateway is there", 20)
        assert {job["status"] for job in fleet.all_end(known, within=30)} == {"completed"}
        wait_until(lambda: fleet.client.get("/stats").json()["queued_jobs"] == 0, "those without an answer end, too", 30)
        assert fleet.faults() == []


def test_a_client_that_hangs_up_cancels_nothing(zoo: Arena) -> None:
    content = clip(Animal.GOOD, 5, milliseconds=1500)
    host, port = zoo.stack.urls[0].removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        head = f"POST /v1/jobs?wait=30 HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n\r\n"
        connection.sendall(head.encode() + content)
        wait_until(lambda: zoo.client.get("/stats").json()["in_flight"] == 1, "the job runs")
    (job,) = zoo.client.get("/v1/jobs").json()["jobs"]
    assert zoo.ended(job["job_id"])["result"]["transcript"] == "5"


def test_a_gateway_that_leaves_answers_what_is_on_its_way(zoo: Arena) -> None:
    (gateway,) = zoo.stack.gateways
    with zoo.stack.client() as client, zoo.stack.client() as idle:
        assert client.get("/health").status_code == idle.get("/health").status_code == 200
        gateway.signal(signal.SIGTERM)
        wait_until(lambda: "Shutting down" in gateway.log_text(), "it leaves", 10, 0.01)
        answer = client.get("/stats")
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        assert gateway.wait(10) == 0, "the other one may stay as idle as it is"


def test_those_who_wait_cost_redis_nothing(tmp_path: Path) -> None:
    limits = httpx.Limits(max_connections=WAITERS)
    with (
        arena(tmp_path / "fleet", workers=0) as fleet,
        httpx.Client(base_url=fleet.stack.urls[0], limits=limits, timeout=60) as client,
        ThreadPoolExecutor(WAITERS) as pool,
    ):
        job_id = fleet.submit(Animal.GOOD, 1)
        waiting = [pool.submit(client.get, f"/v1/jobs/{job_id}?wait=30") for _ in range(WAITERS)]
        wait_until(lambda: _requests(fleet, 0.5) < WAITERS / 10, "everybody waits", 20)
        assert _requests(fleet, WATCHED_SECONDS) < WAITERS / 5
        fleet.client.delete(f"/v1/jobs/{job_id}").raise_for_status()
        assert {answer.result(10).json()["status"] for answer in waiting} == {"canceled"}


def _answers(fleet: Arena) -> bool:
    try:
        return fleet.client.get("/ready").status_code == 200
    except httpx.TransportError:
        return False


def _requests(fleet: Arena, seconds: float) -> int:
    """How often Redis is asked within this time. Commands within scripts do not count: sweeps run them, waiters or not."""
    before = _count(fleet)
    time.sleep(seconds)  # the time over which requests are counted
    return _count(fleet) - before


def _count(fleet: Arena) -> int:
    info: dict[str, Any] = fleet.redis.info("stats")
    return int(info["total_reads_processed"])
