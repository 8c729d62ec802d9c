"""A gateway without a key against pages of other sites; paths behind a proxy; job ids in the log."""

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.audio_files import wav
from tests.processes import RedisServer, Stack, wait_until

PREFLIGHT = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
PREFIX = "/asr"


@pytest.fixture(scope="module")
def keyless(server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A gateway on loopback without a key, behind a prefix, with a log for human readers."""
    stack = Stack(server=server, folder=tmp_path_factory.mktemp("keyless"), environment={"FLEET_PREFIX": "keyless"})
    stack.start_gateway(ROOT_PATH=PREFIX, ALLOWED_HOSTS="proxy.example", LOG_FORMAT="console", LOG_LEVEL="DEBUG")
    yield stack
    stack.stop()


@pytest.fixture
def client(keyless: Stack) -> Iterator[httpx.Client]:
    with keyless.client() as client:
        yield client


@pytest.fixture
def job_id(client: httpx.Client) -> Iterator[str]:
    job_id = str(client.post("/v1/jobs", content=wav()).json()["job_id"])
    yield job_id
    for _ in range(2):
        client.delete(f"/v1/jobs/{job_id}")


def log_line(keyless: Stack, *parts: str) -> str:
    """The first log line that holds all these parts, as soon as it is there."""

    def found() -> list[str]:
        return [line for line in keyless.gateways[0].log_text().splitlines() if all(part in line for part in parts)]

    wait_until(found, f"a log line with {parts}", 5)
    return found()[0]


@pytest.mark.parametrize("host", ["rebound.example", "rebound.example:8000", "localhost.rebound.example", "192.168.1.5"])
@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/jobs"), ("POST", "/v1/jobs"), ("GET", "/health"), ("GET", "/stats")])
def test_a_foreign_name_is_told_nothing(client: httpx.Client, host: str, method: str, path: str) -> None:
    answer = client.request(method, path, headers={"Host": host})
    assert (answer.status_code, answer.json()["code"]) == (421, "host_not_allowed")
    assert "ALLOWED_HOSTS" in answer.json()["detail"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1:8000", "[::1]:8000", "proxy.example"])
def test_own_names_are_answered(client: httpx.Client, host: str) -> None:
    assert client.get("/v1/jobs", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://localhost:1", "file://"])
@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/jobs"), ("POST", "/transcribe-async"), ("DELETE", "/cache")])
def test_pages_of_other_sites_change_nothing(client: httpx.Client, origin: str, method: str, path: str) -> None:
    content = wav() if method == "POST" else None
    answer = client.request(method, path, content=content, headers={"Origin": origin, "Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()["code"]) == (403, "origin_not_allowed")
    assert "CORS_ORIGINS" in answer.json()["detail"]


def test_pages_of_the_same_origin_may(client: httpx.Client, keyless: Stack) -> None:
    assert client.delete("/cache", headers={"Origin": keyless.urls[0]}).status_code == 200


@pytest.mark.parametrize("path", ["/v1/jobs", "/transcribe"])
def test_a_preflight_is_told_what_to_set(client: httpx.Client, path: str) -> None:
    answer = client.options(path, headers=PREFLIGHT)
    assert answer.status_code == 405 and "CORS_ORIGINS" in answer.json()["detail"]
    assert "CORS_ORIGINS" not in client.options(path).json()["detail"]


@pytest.mark.parametrize("before", ["", PREFIX])
def test_addresses_begin_with_the_prefix_whether_or_not_the_proxy_took_it_off(client: httpx.Client, before: str) -> None:
    for path, status in (("/v1/jobs", 202), ("/transcribe-async", 202)):
        answer = client.post(before + path, content=wav())
        job_id = answer.json()["job_id"]
        assert (answer.status_code, answer.headers["location"]) == (status, f"{PREFIX}/v1/jobs/{job_id}")
        shown = client.get(answer.headers["location"]).json()
        assert shown["urls"] == {"self": f"{PREFIX}/v1/jobs/{job_id}", "result": f"{PREFIX}/v1/jobs/{job_id}/result"}
        assert [client.delete(f"{before}/v1/jobs/{job_id}").status_code for _ in range(2)] == [200, 204]
    assert client.get(f"{before}/").json()["links"]["stats"] == f"{PREFIX}/stats"
    assert client.get(f"{before}/asrx").status_code == 404


def test_the_log_names_the_job_of_a_request(client: httpx.Client, keyless: Stack, job_id: str) -> None:
    assert f"job_id={job_id}" in log_line(keyless, "method=POST", job_id)
    client.get(f"/v1/jobs/{job_id}/result")
    assert f"job_id={job_id}" in log_line(keyless, "method=GET", f"/{job_id}/result")
    client.get(f"/transcribe-async?job_id={job_id}")
    assert f"job_id={job_id}" in log_line(keyless, "method=GET", "path=/transcribe-async")
    short = client.post("/transcribe-async", content=wav(1.5)).json()["job_id"]
    assert f"job_id={short}" in log_line(keyless, "method=POST", "path=/transcribe-async", short)
    assert "job_id" not in log_line(keyless, "path=/health")


def test_an_id_that_is_none_is_not_logged_as_one(client: httpx.Client, keyless: Stack) -> None:
    client.get("/v1/jobs/not-an-id")
    assert "job_id=" not in log_line(keyless, "path=/v1/jobs/not-an-id")


def test_control_characters_of_a_path_do_not_reach_the_console(client: httpx.Client, keyless: Stack) -> None:
    client.get("/red%1b%5b31m%0aforged%7f%c2%9b")
    assert r"path=/red\x1b[31m\nforged\x7f\x9b" in log_line(keyless, "/red")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", keyless.gateways[0].log_text())
