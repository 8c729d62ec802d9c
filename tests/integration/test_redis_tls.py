"""Redis with TLS, alone and with Sentinels; and Sentinels with a password of their own."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import redis

from gateway.fleet.connections import connect as connect_gateway
from shared.redis_server.connection import connect
from tests.conftest import Clip
from tests.processes import WITHOUT_FILES, RedisServer, Running, Stack, free_port, redis_binary, start, wait_until

SECONDS = 20.0


@dataclass(frozen=True)
class Papers:
    """A certificate authority made for a test, and a certificate of 127.0.0.1 signed by it."""

    folder: Path

    @property
    def query(self) -> str:
        return f"ssl_ca_certs={self.folder / 'ca.crt'}"

    @property
    def options(self) -> dict[str, str]:
        """The TLS options of a server or a Sentinel."""
        names = {"tls-ca-cert-file": "ca.crt", "tls-cert-file": "server.crt", "tls-key-file": "server.key"}
        return {name: str(self.folder / file) for name, file in names.items()} | {"tls-auth-clients": "no"}


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make certificates with")
    return made_papers(tmp_path_factory.mktemp("papers"))


def made_papers(folder: Path) -> Papers:
    """Make an authority and a server's certificate in `folder`. They are valid for a day."""
    folder.joinpath("names").write_text("subjectAltName=IP:127.0.0.1\n")
    key = "-newkey rsa:2048 -nodes"
    for command in (
        f"req -x509 {key} -keyout ca.key -out ca.crt -days 1 -subj /CN=test-authority",
        f"req {key} -keyout server.key -out server.csr -subj /CN=127.0.0.1",
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out server.crt -days 1 -extfile names",
    ):
        subprocess.run([shutil.which("openssl") or "openssl", *command.split()], cwd=folder, check=True, capture_output=True)
    return Papers(folder)


@dataclass(kw_only=True)
class TlsServer(RedisServer):
    """A server that listens with TLS only."""

    papers: Papers

    @property
    def url(self) -> str:
        return f"rediss://127.0.0.1:{self.port}/0?{self.papers.query}"


@contextmanager
def tls_server(folder: Path, papers: Papers) -> Iterator[TlsServer]:
    port = free_port()
    own = [part for name, value in papers.options.items() for part in (f"--{name}", value)]
    server = TlsServer(
        folder=folder, port=port, papers=papers, options=(*WITHOUT_FILES, "--port", "0", "--tls-port", str(port), *own)
    )
    server.running = start([redis_binary(), "--bind", "127.0.0.1", "--dir", str(folder), *server.options], folder / "redis.log")
    try:
        wait_until(lambda: answers(server.url) or ended(server.running), "the server answers, or cannot", SECONDS)
        if ended(server.running):
            pytest.skip("this server is built without TLS")
        yield server
    finally:
        server.running.stop()


def ended(running: Running | None) -> bool:
    return running is None or running.process.poll() is not None


def tells(running: Running, what: str) -> bool:
    return what in running.log_text()


def answers(url: str) -> bool:
    try:
        with connect(url, socket_timeout=1) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def test_a_fleet_works_behind_tls(tmp_path: Path, papers: Papers, clips: list[Clip]) -> None:
    with tls_server(tmp_path, papers) as server:
        stack = Stack(server=server, folder=tmp_path)
        try:
            stack.start_gateway()
            stack.start_worker()
            stack.wait_ready()
            with stack.client() as client:
                assert client.post("/v1/jobs?wait=40", content=clips[0].content).json()["status"] == "completed"
        finally:
            stack.stop()


def test_a_server_with_another_certificate_is_not_trusted(tmp_path: Path, papers: Papers, clips: list[Clip]) -> None:
    (tmp_path / "others").mkdir()
    others = made_papers(tmp_path / "others")
    with tls_server(tmp_path, papers) as server:
        stack = Stack(server=server, folder=tmp_path)
        try:
            url = f"rediss://127.0.0.1:{server.port}/0?{others.query}"
            stack.start_gateway(REDIS_URL=url)
            with stack.client() as client:
                refused = client.post("/v1/jobs", content=clips[0].content)
            assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
            stack.start_worker(REDIS_URL=url)
            for one in (*stack.gateways, *stack.workers):
                wait_until(partial(tells, one, "certificate verify failed"), "it says why", SECONDS)
                assert "Traceback" not in one.log_text()
        finally:
            stack.stop()


@pytest.mark.parametrize("program", ["gateway", "worker"])
@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("rediss://:hush@127.0.0.1/0?ssl_ca_certs=/no/such/file", "there is no file where ssl_ca_certs says"),
        ("redis+sentinel://:hush@127.0.0.1:26379", "redis+sentinel://[user:password@]host[:26379],host[:26379]/service_name"),
        ("redis+sentinel://:hush@127.0.0.1/fleet?ssl_cert_reqs=none", "the option ssl_cert_reqs is unknown"),
    ],
)
def test_a_wrong_address_is_a_sentence_at_the_start(tmp_path: Path, program: str, url: str, told: str) -> None:
    started = start([sys.executable, "-m", program], tmp_path / "log", REDIS_URL=url, WHISPER_MODEL="demo")
    try:
        assert started.wait(30) == 2
    finally:
        started.stop()
    said = started.log_text()
    assert "REDIS_URL: " in said and told in said and "hush" not in said and "Traceback" not in said


@contextmanager
def sentinel_of(folder: Path, port_of_server: int, lines: dict[str, str]) -> Iterator[int]:
    """Run a Sentinel with a password of its own. Yields its port."""
    folder.mkdir()
    port = free_port()
    told = {"bind": "127.0.0.1", "dir": str(folder), "requirepass": "watcher", "port": str(port)} | lines
    if "tls-port" in told:
        told |= {"port": "0", "tls-port": str(port)}
    watching = f"sentinel monitor fleet-redis 127.0.0.1 {port_of_server} 1\nsentinel auth-pass fleet-redis server\n"
    (folder / "sentinel.conf").write_text("".join(f"{name} {value}\n" for name, value in told.items()) + watching)
    running = start([redis_binary(), str(folder / "sentinel.conf"), "--sentinel"], folder / "log")
    try:
        yield port
    finally:
        running.stop()


async def both_sides_get_through(url: str) -> None:
    wait_until(lambda: answers(url), "the worker's side gets through", SECONDS)
    client = connect_gateway(url, 1.0)
    assert await client.ping()
    await client.aclose()


async def test_sentinels_have_a_password_of_their_own(tmp_path: Path, server: RedisServer) -> None:
    with sentinel_of(tmp_path / "sentinel", server.port, {}) as port:
        # The server itself has no password.
        await both_sides_get_through(f"redis+sentinel://127.0.0.1:1,127.0.0.1:{port}/fleet-redis/0?sentinel_password=watcher")
        assert not answers(f"redis+sentinel://127.0.0.1:{port}/fleet-redis/0?sentinel_password=wrong")
        assert not answers(f"redis+sentinel://127.0.0.1:{port}/no-such-name/0?sentinel_password=watcher")


async def test_sentinels_and_server_behind_tls(tmp_path: Path, papers: Papers) -> None:
    with tls_server(tmp_path, papers) as server:
        with server.client() as client:
            client.config_set("requirepass", "server")
        lines = papers.options | {"tls-port": "0", "tls-replication": "yes"}
        with sentinel_of(tmp_path / "sentinel", server.port, lines) as port:
            at = f"127.0.0.1:{port}/fleet-redis/0?sentinel_password=watcher&{papers.query}"
            await both_sides_get_through(f"rediss+sentinel://:server@{at}")
            assert not answers(f"rediss+sentinel://:wrong@{at}")
