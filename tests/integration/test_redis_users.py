"""The users in docs/redis.md have the rights that they need: a fleet runs with exactly these lines, and nothing is denied."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import redis

from gateway.fleet.store import SCRIPTS
from shared.jobs import scripting
from tests.conftest import Clip
from tests.integration.test_long_files import speech
from tests.processes import ROOT, RedisServer, Stack, free_port, redis_server, start, wait_until

PASSWORD = "PASSWORD"
#: The lists that rq-dashboard shows for each queue.
KINDS = ("queued", "started", "finished", "failed", "canceled", "deferred", "scheduled")
WORKERS_SCRIPTS = ("claim", "beat", "publish", "put_piece", "split", "finish", "fail", "hand_back", "recover")


def lines() -> dict[str, str]:
    """The ACL lines of the document by user, as an operator would copy them."""
    found = re.findall(r"^(ACL SETUSER (\w+) .*)$", (ROOT / "docs" / "redis.md").read_text(), re.MULTILINE)
    return {user: line for line, user in found}


def called(scripts: tuple[str, ...]) -> set[str]:
    """Every command that these scripts name, also in branches that seldom run."""
    calls = re.findall(r"redis\.p?call\(([^,)]*)", "\n".join(scripting.source(name).text for name in scripts))
    return {command.lower() for call in calls for command in re.findall(r"'([A-Z]+)'", call)}


def test_every_command_of_a_script_is_granted() -> None:
    assert len(called(SCRIPTS)) > 30
    for user, scripts in (("gateway", SCRIPTS), ("worker", WORKERS_SCRIPTS)):
        assert called(scripts) <= set(re.findall(r"\+(\S+)", lines()[user])), user


def as_user(server: RedisServer, user: str) -> str:
    return f"redis://{user}:{PASSWORD}@127.0.0.1:{server.port}/1"


@contextmanager
def guarded_server(folder: Path) -> Iterator[tuple[RedisServer, "redis.Redis"]]:
    """A server with the document's users, and a client with all rights."""
    with redis_server(folder) as server:
        admin = server.client()
        for line in lines().values():
            admin.execute_command(*line.split())  # type: ignore[no-untyped-call]
        yield server, admin


def denied(admin: "redis.Redis") -> list[str]:
    """The commands that were denied, with their users.

    CLIENT is left out: redis-py tells newer servers its name, and goes on if the server refuses that.
    """
    entries: Any = admin.acl_log(count=100)
    return [f"{e['username']}: {e['object']} ({e['context']})" for e in entries if e["object"].split("|")[0] != "client"]


def test_a_fleet_runs_with_the_rights_of_the_document(tmp_path: Path, clips: list[Clip]) -> None:
    with guarded_server(tmp_path) as (server, admin):
        stack = Stack(server=server, folder=tmp_path, environment={"SPLIT_ABOVE_SECONDS": "3", "LEASE_SECONDS": "2"})
        try:
            stack.start_gateway(REDIS_URL=as_user(server, "gateway"))
            with stack.client() as client:
                before_there_is_a_worker(client, clips)
                stack.start_worker(REDIS_URL=as_user(server, "worker"))
                stack.wait_ready()
                with_a_worker(client, clips)
                stack.workers[0].stop()
                what_an_operator_finds(client, clips)
                clicks(server, client, tmp_path)
            stack.start_gateway(REDIS_URL=as_user(server, "gateway"), REDIS_WAIT_REPLICAS="1", REDIS_WAIT_SECONDS="0.1")
            with stack.client(1) as client:
                assert "too few of Redis' replicas" in client.post("/v1/jobs", content=clips[1].content).json()["detail"]
        finally:
            stack.stop()
        assert denied(admin) == []


def before_there_is_a_worker(client: httpx.Client, clips: list[Clip]) -> None:
    """Use deadlines, a retry, a cancel, an erasure and a page of jobs."""
    job = client.post("/v1/jobs", content=clips[0].content, params={"start_deadline_seconds": 1}).raise_for_status().json()
    ended = client.get(f"/v1/jobs/{job['job_id']}?wait=20").json()
    assert ended["status"] == "expired"
    assert client.post(f"/v1/jobs/{job['job_id']}/retry").status_code == 202
    assert client.delete(f"/v1/jobs/{job['job_id']}").json()["status"] == "canceled"
    assert client.delete(f"/v1/jobs/{job['job_id']}").status_code == 204
    assert client.get("/v1/jobs").json()["jobs"] == []


def with_a_worker(client: httpx.Client, clips: list[Clip]) -> None:
    """Submit a clip, the same clip again and a long file; and read what the gateway tells of the fleet."""
    clip = next(clip for clip in clips if clip.kind == "own")
    for headers in ({}, {"Idempotency-Key": "a"}, {"Idempotency-Key": "a"}):
        answer = client.post("/v1/jobs?wait=40", content=clip.content, headers=headers)
        assert answer.json()["status"] == "completed", answer.text
    long, _ = speech(clips, 12, 0)
    told = client.post("/v1/jobs?wait=50", content=long).json()
    assert told["status"] == "completed" and len(told["result"]["segments"]) > 1
    for page in ("/stats", "/metrics", "/ready", "/v1/jobs?status=completed"):
        assert client.get(page).status_code == 200, page
    assert client.delete("/cache").status_code == 200


def what_an_operator_finds(client: httpx.Client, clips: list[Clip]) -> None:
    """Leave waiting, cancelled and expired jobs in one lane, without a worker."""
    ids = [
        client.post("/v1/jobs", content=clip.content, params={"start_deadline_seconds": seconds}).json()["job_id"]
        for clip, seconds in zip(clips[:3], (600, 600, 1), strict=True)
    ]
    assert client.get(f"/v1/jobs/{ids[2]}?wait=20").json()["status"] == "expired"
    assert client.delete(f"/v1/jobs/{ids[1]}").json()["status"] == "canceled"


def clicks(server: RedisServer, client: httpx.Client, folder: Path) -> None:
    """Open the pages of rq-dashboard and press its buttons."""
    port, program = free_port(), str(Path(sys.executable).parent / "rq-dashboard")
    command = [program, "--json", "--bind", "127.0.0.1", "--port", str(port), "--redis-url", as_user(server, "dashboard")]
    running = start(command, folder / "dashboard.log")
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, follow_redirects=True) as dashboard:
            wait_until(lambda: answers(dashboard), "the dashboard answers", 30)
            lane, *_ = lanes(server)
            job_id = client.get("/v1/jobs").json()["jobs"][0]["job_id"]
            pages = ["/0/view/queues", "/0/view/workers", "/0/data/queues.json", "/0/data/workers.json"]
            pages += [f"/0/view/job/{job_id}", f"/0/data/job/{job_id}.json"]
            pages += [f"/0/data/jobs/{lane}/{kind}/8/asc/1.json" for kind in KINDS]
            assert not [page for page in pages if dashboard.get(page).status_code != 200]
            buttons = [f"/queue/{lane}/compact", f"/requeue/{lane}", f"/job/{job_id}/delete"]
            buttons += [f"/queue/{lane}/{kind}/empty" for kind in KINDS]
            assert not [button for button in buttons if dashboard.post(button).status_code != 200]
    finally:
        running.stop()


def answers(dashboard: httpx.Client) -> bool:
    try:
        return dashboard.get("/").status_code == 200
    except httpx.TransportError:
        return False


def lanes(server: RedisServer) -> list[str]:
    with redis.Redis.from_url(server.url.replace("/0", "/1"), decode_responses=True) as client:
        return sorted(name.removeprefix("rq:queue:") for name in client.smembers("rq:queues"))
