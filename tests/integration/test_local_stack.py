"""`make up`, as its Python command: what it starts, what it says, and that it leaves nothing behind."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from shared.cpu import usable_cores, workers_for
from tests.processes import ROOT, RedisServer, wait_until


@contextmanager
def up(log: Path, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
    """The stack in the foreground of a session of its own."""
    inherited = {k: v for k, v in os.environ.items() if k not in ("REDIS_URL", "API_PORT", "WORKERS", "GATEWAYS")}
    command = [sys.executable, "-m", "deploy.local", "up"]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=inherited | environment, stdout=out, stderr=out, start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            for child in family(process):
                child.kill()
            process.kill()
            process.wait(10)


def family(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def gateways(log: Path) -> list[str]:
    return re.findall(r"gateway\s+(http://\S+)", log.read_text())


def ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_starts_says_where_it_is_and_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    log = tmp_path / "up.log"
    with up(log, GATEWAYS="2", WORKERS="2") as process:
        wait_until(lambda: len(gateways(log)) == 2 or process.poll() is not None, "it says where the gateways are", 60)
        urls = gateways(log)
        wait_until(lambda: all(ready(url) for url in urls), "both gateways are ready", 90)
        workers = httpx.get(f"{urls[0]}/stats").json()["workers"]
        dashboard = re.findall(r"dashboard\s+(http://\S+)", log.read_text())[0]
        assert len(workers) >= 1 and httpx.get(dashboard, timeout=20).status_code == 200
        children = family(process)
        assert len(children) >= 7, "redis, two gateways, two workers with a model each, the dashboard"
        process.send_signal(number)
        assert process.wait(40) == 0
    wait_until(
        lambda: not [c for c in children if c.is_running() and c.status() != psutil.STATUS_ZOMBIE], "no process is left", 15
    )


def test_a_given_redis_and_port_are_used(tmp_path: Path, server: RedisServer) -> None:
    log = tmp_path / "up.log"
    with up(log, REDIS_URL=server.url, FLEET_PREFIX="given") as process:
        wait_until(lambda: bool(gateways(log)) or process.poll() is not None, "it says where the gateway is", 60)
        wait_until(lambda: ready(gateways(log)[0]), "ready", 60)
        workers = workers_for(usable_cores())
        wait_until(lambda: server.client().zcard("given:workers") == workers, "all workers are on the given Redis", 60)
        assert not [c for c in family(process) if "redis" in c.name()]
        process.send_signal(signal.SIGINT)
        assert process.wait(40) == 0


def test_a_count_that_is_no_number_is_a_clear_message(tmp_path: Path) -> None:
    with up(tmp_path / "up.log", WORKERS="many") as process:
        assert process.wait(30) == 1
    assert "WORKERS=many" in (tmp_path / "up.log").read_text()
    assert "Traceback" not in (tmp_path / "up.log").read_text()
