"""A Redis Cluster is refused at the start with a clear message: scripts touch keys of many jobs."""

import sys
from pathlib import Path

import pytest

from tests.processes import RedisServer, free_port, start


@pytest.mark.parametrize("program", ["gateway", "worker"])
def test_a_cluster_is_refused_at_the_start(tmp_path: Path, program: str) -> None:
    # The servers of a cluster talk to each other on a port that is 10,000 higher.
    port = next(port for _ in range(1000) if (port := free_port()) < 55_000)
    server = RedisServer(folder=tmp_path, port=port, options=("--appendonly", "no", "--save", "", "--cluster-enabled", "yes"))
    server.start()
    started = start([sys.executable, "-m", program], tmp_path / "log", REDIS_URL=server.url, WHISPER_MODEL="demo")
    try:
        assert started.wait(30) == 2
    finally:
        started.stop()
        server.kill()
    told = started.log_text()
    assert "this is a Redis Cluster, which cannot hold a fleet" in told and "Traceback" not in told
