"""The fleet of the proof: gateways and workers of this version and of the last release. Each is started again when it dies."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import redis

from tests.faults.proof.release import THIS, Release
from tests.faults.proof.weak_redis import WeakRedis
from tests.processes import Running, free_port, start_in, wait_until

KEEP_EVERY_SECONDS = 0.2
READY_SECONDS = 60.0
LEASE_SECONDS = 3.0
ENVIRONMENT = {
    "WHISPER_ENGINE": "tests.faults.numbered:NumberedEngine",
    "WHISPER_MODEL": "zoo",
    "WHISPER_CPU_THREADS": "1",
    "LOG_FORMAT": "json",
    "LEASE_SECONDS": f"{LEASE_SECONDS:g}",
    # The faults are the cause, not the audio: with three attempts a job that is often hit would end as a poison job.
    "MAX_ATTEMPTS": "40",
    "DRAIN_SECONDS": "2",
    # Redis' clock is set forward by an hour, and a failed job must keep its audio for a retry after that.
    "FAILED_AUDIO_TTL_SECONDS": "86400",
}


@dataclass(kw_only=True)
class Member:
    """A gateway or a worker. When it is started again, it keeps its name and settings, and may be of another release."""

    name: str
    module: str
    folder: Path
    environment: dict[str, str]
    release: Release
    running: Running = field(init=False)

    def launch(self) -> None:
        """Start a new process. Returns before the process is ready."""
        command, settings = [sys.executable, "-m", self.module], self.release.environment() | self.environment
        self.running = start_in(self.release.root, command, self.folder / f"{self.name}.log", settings)

    def keep(self) -> None:
        """Start a new process if the last one has ended."""
        if self.running.process.poll() is not None:
            self.launch()


@dataclass(kw_only=True)
class Fleet:
    """Members around one Redis server."""

    server: WeakRedis
    folder: Path
    members: dict[str, Member] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)

    def add_gateway(self, release: Release = THIS) -> None:
        """Start another gateway. Returns before it is ready."""
        name, port = f"gateway{len(self.urls)}", free_port()
        self.urls[name] = f"http://127.0.0.1:{port}"
        self._add(name, "gateway", release, {"API_PORT": str(port)})

    def add_worker(self, release: Release = THIS, redis_port: int | None = None) -> None:
        """Start another worker. Returns before it is ready. `redis_port`: the port of a proxy before Redis, if it uses one."""
        name = f"worker{len(self.workers)}"
        self._add(name, "worker", release, {"REDIS_URL": f"redis://127.0.0.1:{redis_port or self.server.port}/0"})

    @property
    def workers(self) -> list[Member]:
        return [member for member in self.members.values() if member.module == "worker"]

    def redis(self, patience_seconds: float = 5.0) -> "redis.Redis":
        """A new Redis client."""
        return redis.Redis.from_url(self.server.url, socket_timeout=patience_seconds)

    def stats(self) -> dict[str, Any]:
        """The answer of `/stats` from the first gateway that answers; empty if none does."""
        for url in self.urls.values():
            with suppress(httpx.HTTPError):
                answer: dict[str, Any] = httpx.get(f"{url}/stats", timeout=5).raise_for_status().json()
                return answer
        return {}

    def wait_ready(self) -> None:
        """Wait until all gateways answer, and all workers have loaded a model."""
        wait_until(lambda: all(_answers(url) for url in self.urls.values()), "gateways answer", READY_SECONDS)
        wait_until(lambda: self._ready_workers() >= len(self.workers), "workers are ready", READY_SECONDS)

    def replace(self, name: str, release: Release) -> None:
        """Send SIGTERM to a member. Returns when a process of that release has taken its place and is ready.

        Use it within `kept_alive`, which starts that process.
        """
        member, leaving = self.members[name], self.members[name].running
        member.release = release
        leaving.signal(signal.SIGTERM)
        wait_until(lambda: member.running is not leaving, f"{name} is replaced", READY_SECONDS)
        self.wait_ready()

    @contextmanager
    def kept_alive(self) -> Iterator[None]:
        """Meanwhile every process that dies is started again, like a container with `restart: always`."""
        leaving = threading.Event()
        keepers = [self.server.keep, self._keep_members]
        threads = [threading.Thread(target=_keep, args=(keep, leaving), daemon=True) for keep in keepers]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            leaving.set()
            for thread in threads:
                thread.join(READY_SECONDS)

    def _keep_members(self) -> None:
        for member in list(self.members.values()):
            member.keep()

    def stop(self) -> None:
        """Stop all members, also those that SIGSTOP has halted. Redis goes on."""
        for member in self.members.values():
            if member.running.process.poll() is None:
                member.running.signal(signal.SIGCONT)
                member.running.signal(signal.SIGTERM)
        for member in self.members.values():
            member.running.stop()

    def _add(self, name: str, module: str, release: Release, environment: dict[str, str]) -> None:
        settings = ENVIRONMENT | {"REDIS_URL": self.server.url} | environment
        member = Member(name=name, module=module, folder=self.folder, environment=settings, release=release)
        self.members[name] = member
        member.launch()

    def _ready_workers(self) -> int:
        return sum(card["state"] == "ready" for card in self.stats().get("workers", ()))


@contextmanager
def fleet_around(folder: Path, *redis_options: str) -> Iterator[Fleet]:
    """A fleet without members yet, around a running Redis, for the time of a `with`."""
    folder.mkdir(parents=True)
    server = WeakRedis(folder=folder, options=redis_options)
    server.start()
    fleet = Fleet(server=server, folder=folder)
    try:
        yield fleet
    finally:
        fleet.stop()
        if server.running is not None:
            server.running.signal(signal.SIGCONT)
            server.running.stop()


def _keep(keep: Callable[[], object], leaving: threading.Event) -> None:
    while not leaving.wait(KEEP_EVERY_SECONDS):
        keep()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
