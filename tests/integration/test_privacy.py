"""Operators see jobs, but never audio or transcripts: not in rq-dashboard, not in Redis' command stream, not in a log."""

import base64
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from shared.jobs.scripting import text
from tests.conftest import Clip
from tests.processes import Stack, free_port, start, wait_until


@pytest.fixture
def dashboard(stack: Stack, tmp_path: Path) -> Iterator[httpx.Client]:
    """rq-dashboard as `make up` starts it."""
    port = free_port()
    binary = shutil.which("rq-dashboard", path=str(Path(sys.executable).parent))
    assert binary is not None
    arguments = ["--json", "--bind", "127.0.0.1", "--port", str(port), "--redis-url", stack.server.url]
    running = start([binary, *arguments], tmp_path / "dashboard.log")
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
        wait_until(lambda: _answers(client), "the dashboard answers", 30)
        yield client
    running.stop()


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/").status_code == 200
    except httpx.HTTPError:
        return False


def test_the_dashboard_shows_jobs_by_id_and_nothing_of_their_content(
    stack: Stack, dashboard: httpx.Client, clips: list[Clip]
) -> None:
    with stack.client() as client:
        client.delete("/cache")
        job = client.post("/v1/jobs?wait=60&prompt=my+secret+words", content=clips[0].content).json()
    assert job["status"] == "completed" and len(job["result"]["transcript"]) > 5
    lane = "fleet.demo.interactive"
    queues = dashboard.get("/0/data/queues.json").json()["queues"]
    assert lane in [queue["name"] for queue in queues]
    listed = dashboard.get(f"/0/data/jobs/{lane}/finished/50/dsc/1.json").text
    detail = dashboard.get(f"/0/data/job/{job['job_id']}.json")
    workers = dashboard.get("/0/data/workers.json").json()["workers"]
    assert job["job_id"] in listed and detail.status_code == 200
    assert len(workers) == 2 and {lane} <= set(workers[0]["queues"])
    for page in (listed, detail.text, dashboard.get(f"/0/view/job/{job['job_id']}").text):
        assert job["result"]["transcript"] not in page
        assert "my secret words" not in page
        assert base64.b64encode(clips[0].content[:300]).decode()[:100] not in page
    assert "wav" in detail.json()["description"] and job["audio"]["sha256"][:8] in detail.json()["description"]


def test_no_base64_reaches_redis(stack: Stack, clips: list[Clip]) -> None:
    encoded = base64.b64encode(clips[1].content).decode()
    seen: list[str] = []
    ended = threading.Event()

    def watch() -> None:
        with stack.server.client().monitor() as monitor:  # type: ignore[no-untyped-call]
            listening.set()
            while not ended.is_set():
                seen.append(monitor.next_command()["command"])

    listening = threading.Event()
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    assert listening.wait(10)
    with stack.client() as client:
        client.delete("/cache")
        job = client.post("/v1/jobs?wait=60", json={"audio": encoded}).json()
    ended.set()
    watcher.join(10)
    commands = "\n".join(seen)
    assert job["job_id"] in commands
    assert encoded[200:260] not in commands and encoded[-100:-40] not in commands


def test_logs_hold_no_content(stack: Stack, clips: list[Clip]) -> None:
    with stack.client() as client:
        client.delete("/cache")
        job = client.post("/v1/jobs?wait=60&hotwords=swordfish", content=clips[2].content).json()
    assert job["status"] == "completed"
    logs = "".join(running.log_text() for running in [*stack.gateways, *stack.workers])
    assert job["job_id"] in logs
    assert job["result"]["transcript"] not in logs and "swordfish" not in logs


def test_nothing_of_a_job_stays_in_redis_once_it_is_erased(stack: Stack, clips: list[Clip]) -> None:
    client_of_redis = stack.server.client()
    with stack.client() as client:
        job = client.post("/v1/jobs?wait=60&beam_size=4", content=clips[3].content).json()
        assert not client_of_redis.exists(f"fleet:audio:{job['job_id']}"), "the audio is deleted when the job ends"
        client.delete(f"/v1/jobs/{job['job_id']}")
        client.delete("/cache")
    left = [text(key) for key in client_of_redis.keys(f"*{job['job_id']}*")]
    assert left == [f"fleet:gone:{job['job_id']}"]
