"""Features that careful clients rely on: conditional requests, preferences, pages, order, ids. No worker is needed."""

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.audio_files import tone, wav, with_av
from tests.processes import RedisServer, Stack


@pytest.fixture(scope="module")
def gateway(server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    stack = Stack(server=server, folder=tmp_path_factory.mktemp("details"), environment={"FLEET_PREFIX": "details"})
    stack.start_gateway()
    with stack.client() as client:
        yield client
    stack.stop()


@pytest.fixture(autouse=True)
def empty(server: RedisServer) -> None:
    server.client().flushall()


def submit(gateway: httpx.Client, seconds: float, query: str = "") -> str:
    return str(gateway.post(f"/v1/jobs{query}", content=wav(seconds)).raise_for_status().json()["job_id"])


def test_an_unchanged_job_is_not_sent_twice(gateway: httpx.Client) -> None:
    job_id = submit(gateway, 1.0)
    first = gateway.get(f"/v1/jobs/{job_id}")
    again = gateway.get(f"/v1/jobs/{job_id}", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    gateway.delete(f"/v1/jobs/{job_id}")
    changed = gateway.get(f"/v1/jobs/{job_id}", headers={"If-None-Match": first.headers["etag"]})
    assert changed.status_code == 200 and changed.json()["status"] == "canceled"


@pytest.mark.parametrize(
    "how", [{"params": {"wait": "0.3"}}, {"headers": {"Prefer": "wait=0"}}, {"headers": {"Prefer": "respond-async, wait=1"}}]
)
def test_a_wait_ends_with_what_is_known(gateway: httpx.Client, how: dict[str, dict[str, str]]) -> None:
    answer = gateway.post("/v1/jobs", content=wav(1.0), **how)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()["status"], answer.json()["position"]) == (202, "queued", 1)
    assert answer.elapsed.total_seconds() < 3


def test_pages_go_through_all_jobs_newest_first(gateway: httpx.Client) -> None:
    ids = [submit(gateway, 1.0 + n / 100) for n in range(7)]
    found: list[str] = []
    cursor = ""
    while True:
        page = gateway.get("/v1/jobs", params={"limit": 3, "cursor": cursor}).json()
        found += [job["job_id"] for job in page["jobs"]]
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert found == ids[::-1]
    gateway.delete(f"/v1/jobs/{ids[0]}")
    assert [job["job_id"] for job in gateway.get("/v1/jobs?status=canceled").json()["jobs"]] == [ids[0]]


def test_interactive_jobs_stand_before_batch_ones(gateway: httpx.Client) -> None:
    batch = submit(gateway, 1.0, "?priority=batch")
    interactive = submit(gateway, 1.1)
    assert gateway.get(f"/v1/jobs/{interactive}").json()["position"] == 1
    assert gateway.get(f"/v1/jobs/{batch}").json()["position"] == 2


def test_followers_stand_where_their_leader_does(gateway: httpx.Client) -> None:
    submit(gateway, 1.0)
    leader, follower = submit(gateway, 1.2), submit(gateway, 1.2)
    assert leader != follower
    assert [gateway.get(f"/v1/jobs/{i}").json()["position"] for i in (leader, follower)] == [2, 2]


def test_every_answer_has_a_request_id_and_keeps_a_harmless_one(gateway: httpx.Client) -> None:
    assert re.fullmatch(r"[0-9a-f]{32}", gateway.get("/health").headers["x-request-id"])
    assert gateway.get("/nothing", headers={"X-Request-Id": "trace-7"}).headers["x-request-id"] == "trace-7"
    assert gateway.get("/health", headers={"X-Request-Id": "a b<script>"}).headers["x-request-id"] != "a b<script>"


def test_the_result_of_a_cancelled_job_says_so(gateway: httpx.Client) -> None:
    job_id = submit(gateway, 1.0)
    assert gateway.delete(f"/v1/jobs/{job_id}").json()["status"] == "canceled"
    answer = gateway.get(f"/v1/jobs/{job_id}/result")
    assert (answer.status_code, answer.json()["code"]) == (409, "job_canceled")


def test_metadata_comes_back(gateway: httpx.Client) -> None:
    answer = gateway.post("/v1/jobs", files={"file": ("a", wav())}, data={"metadata": '{"order": 7}'})
    assert gateway.get(f"/v1/jobs/{answer.json()['job_id']}").json()["metadata"] == {"order": 7}


@pytest.mark.parametrize("placeholder", [0, 0x7FFFF000, 0xFFFFFFFF])
def test_a_wav_from_a_pipe_which_does_not_know_its_length_is_taken(gateway: httpx.Client, placeholder: int) -> None:
    content = wav(2.0)
    piped = content[:40] + placeholder.to_bytes(4, "little") + content[44:]
    answer = gateway.post("/v1/jobs", content=piped)
    assert answer.status_code == 202, answer.text
    assert abs(answer.json()["audio"]["seconds"] - 2.0) < 0.05


def test_a_video_with_sound_is_taken_for_its_sound(gateway: httpx.Client) -> None:
    answer = gateway.post("/v1/jobs", content=with_av(tone(2.0), "matroska", "libopus"))
    assert answer.status_code == 202 and abs(answer.json()["audio"]["seconds"] - 2.0) < 0.2
