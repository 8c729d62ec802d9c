"""Fixtures shared by all tests. A test that needs a server gets a real one."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from tests.processes import ROOT, RedisServer, Stack, redis_server

CLIPS = ROOT / "models" / "demo" / "clips"


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A sample clip and its text. `kind`: which voices and sentences it is from (see the model card)."""

    name: str
    text: str
    kind: str
    #: (start_seconds, end_seconds, text) of each utterance, for joined clips.
    segments: tuple[tuple[float, float, str], ...] = ()

    @property
    def path(self) -> Path:
        return CLIPS / self.name

    @property
    def content(self) -> bytes:
        return self.path.read_bytes()


@pytest.fixture(scope="session")
def clips() -> list[Clip]:
    """The committed sample clips."""
    index = json.loads((CLIPS / "transcripts.json").read_text())
    return [
        Clip(
            name=name,
            text=entry["text"],
            kind=entry["kind"],
            segments=tuple((s, e, t) for s, e, t in entry.get("segments", [])),
        )
        for name, entry in index.items()
    ]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Redis server for the whole run."""
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def store(server: RedisServer) -> Iterator["redis.Redis"]:
    """A client of the server, whose data were erased."""
    client = server.client()
    client.flushall()
    yield client
    client.close()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two gateways and two workers with the demo model, around a Redis of their own, for the whole run."""
    folder = tmp_path_factory.mktemp("stack")
    with redis_server(folder) as running:
        stack = Stack(server=running, folder=folder)
        try:
            for _ in range(2):
                stack.start_gateway()
            for _ in range(2):
                stack.start_worker()
            stack.wait_ready(workers=2)
            yield stack
        finally:
            stack.stop()
