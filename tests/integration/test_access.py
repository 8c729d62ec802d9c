"""Which callers a gateway accepts, from which origins, and what a gateway without a key refuses to do."""

import socket
import sys
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.audio_files import wav
from tests.processes import RedisServer, Stack, lasting_keys, start

KEY = "correct horse battery staple"
ORIGIN = {"Origin": "https://app.example"}


@pytest.fixture(scope="module")
def locked(server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A gateway with a key, one allowed origin, and little patience with uploads."""
    stack = Stack(server=server, folder=tmp_path_factory.mktemp("locked"), environment={"FLEET_PREFIX": "locked", "API_KEY": KEY})
    stack.start_gateway(CORS_ORIGINS=ORIGIN["Origin"], UPLOAD_TIMEOUT_SECONDS="0.5", MAX_FILE_SIZE_MB="1")
    yield stack
    stack.stop()


@pytest.fixture
def anonymous(locked: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=locked.urls[0], timeout=20) as client:
        yield client


@pytest.mark.parametrize("headers", [{"X-API-Key": KEY}, {"Authorization": f"Bearer {KEY}"}, {"Authorization": f"bearer {KEY}"},
                                     {"Authorization": f"Token {KEY}"}, {"Authorization": KEY}])  # fmt: skip
def test_the_key_is_taken_in_every_usual_place(anonymous: httpx.Client, headers: dict[str, str]) -> None:
    assert anonymous.get("/v1/jobs", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": ""},
        {"X-API-Key": KEY[:-1]},
        {"X-API-Key": KEY + " x"},
        {"X-API-Key": "ä"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer wrong"},
    ],
)
def test_without_the_key_nothing_is_told(anonymous: httpx.Client, headers: dict[str, str]) -> None:
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    for method, path in (("GET", "/v1/jobs"), ("POST", "/v1/jobs"), ("GET", "/stats"), ("DELETE", "/cache"), ("GET", "/nothing")):
        answer = anonymous.request(method, path, headers=encoded)
        assert (answer.status_code, answer.json()["code"]) == (401, "access_denied")
        assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/health", 200), ("/ready", 503)])
def test_card_health_and_readiness_are_open(anonymous: httpx.Client, path: str, status: int) -> None:
    assert anonymous.get(path).status_code == status


def test_browsers_of_an_allowed_origin_may_call_and_read_errors(anonymous: httpx.Client) -> None:
    preflight = {**ORIGIN, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key,content-type"}
    allowed = anonymous.options("/v1/jobs", headers=preflight)
    assert allowed.status_code == 200 and allowed.headers["access-control-allow-origin"] == ORIGIN["Origin"]
    own = preflight | {"Access-Control-Request-Headers": "x-stainless-lang,traceparent,x-api-key"}
    assert anonymous.options("/v1/jobs", headers=own).status_code == 200, "SDKs and tracing send headers of their own"
    denied = anonymous.get("/v1/jobs", headers=ORIGIN)
    assert denied.status_code == 401 and denied.headers["access-control-allow-origin"] == ORIGIN["Origin"]
    stranger = anonymous.get("/v1/jobs", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in stranger.headers


def test_beyond_loopback_without_a_key_the_gateway_does_not_start(locked: Stack) -> None:
    refused = start([sys.executable, "-m", "gateway"], locked.folder / "refused.log", API_HOST="0.0.0.0")
    assert refused.wait(30) == 2
    assert "API_KEY" in refused.log_text() and "Traceback" not in refused.log_text()


def test_the_key_appears_in_no_log(locked: Stack, anonymous: httpx.Client) -> None:
    anonymous.get("/v1/jobs", headers={"X-API-Key": KEY})
    assert KEY not in locked.gateways[0].log_text()


def upload(locked: Stack, head: bytes, *chunks: bytes) -> bytes:
    """Send raw bytes. Returns the answer, up to its last brace or until the gateway closes the connection."""
    host, port = locked.urls[0].removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(head + f"X-API-Key: {KEY}\r\nHost: x\r\n\r\n".encode())
        for chunk in chunks:
            connection.sendall(chunk)
        answer = b""
        while not answer.endswith(b"}") and (more := connection.recv(65_536)):
            answer += more
        return answer


def nothing_left(locked: Stack) -> bool:
    return not [k for k in lasting_keys(locked.server.client()) if b":cached" not in k and k.startswith(b"locked:")]


def test_a_large_upload_is_refused_before_it_is_all_there(locked: Stack) -> None:
    started = time.monotonic()
    answer = upload(locked, b"POST /v1/jobs HTTP/1.1\r\nContent-Length: 50000000\r\n", wav())
    assert b"413" in answer.split(b"\r\n")[0] and b"too_large" in answer
    assert time.monotonic() - started < 5


def test_a_chunked_upload_is_counted_while_it_comes(locked: Stack) -> None:
    chunk = b"%x\r\n" % 200_000 + bytes(200_000) + b"\r\n"
    answer = upload(locked, b"POST /v1/jobs HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", *[chunk] * 6)
    assert b"413" in answer.split(b"\r\n")[0]


def test_an_upload_that_stalls_is_dropped_and_makes_no_job(locked: Stack) -> None:
    answer = upload(locked, b"POST /v1/jobs HTTP/1.1\r\nContent-Length: 32044\r\n", wav()[:10_000])
    assert b"408" in answer.split(b"\r\n")[0] and b"upload_stalled" in answer
    assert nothing_left(locked)


def test_an_upload_that_breaks_off_makes_no_job(locked: Stack) -> None:
    host, port = locked.urls[0].removeprefix("http://").split(":")
    content = wav()
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        head = f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nContent-Length: {len(content)}\r\n\r\n"
        connection.sendall(head.encode() + content[:-100])
    with locked.client() as client:
        whole = client.post("/v1/jobs", content=wav(1.5)).json()["job_id"]
        assert [job["job_id"] for job in client.get("/v1/jobs").json()["jobs"]] == [whole]
        client.delete(f"/v1/jobs/{whole}")
        client.delete(f"/v1/jobs/{whole}")


def test_an_idempotency_key_makes_a_repeated_submit_one_job(locked: Stack) -> None:
    with locked.client() as client:
        key = {"Idempotency-Key": "order-7"}
        first, again, other = (client.post("/v1/jobs", content=wav(s), headers=key) for s in (1.0, 1.0, 1.2))
        assert first.json()["job_id"] == again.json()["job_id"]
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_conflict")
        client.delete(f"/v1/jobs/{first.json()['job_id']}")
