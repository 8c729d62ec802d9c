"""`make up`, by its Python command: what it starts, what it prints, and that it leaves no process behind."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from shared.cpu import usable_cores, workers_for
from tests.conftest import Clip
from tests.failover import watched_servers
from tests.processes import ROOT, RedisServer, wait_until


@contextmanager
def up(log: Path, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the stack in the foreground, in a session of its own."""
    inherited = {k: v for k, v in os.environ.items() if k not in ("REDIS_URL", "API_PORT", "WORKERS", "GATEWAYS")}
    inherited["DATA_DIR"] = str(log.parent / "data")
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


def test_a_redis_that_sentinels_know_is_used(tmp_path: Path) -> None:
    log = tmp_path / "up.log"
    with watched_servers(tmp_path, replicas=0) as watched, up(log, REDIS_URL=watched.url, WORKERS="1") as process:
        wait_until(lambda: bool(gateways(log)) or process.poll() is not None, "it says where the gateway is", 60)
        wait_until(lambda: ready(gateways(log)[0]), "ready", 60)
        assert f"redis      {watched.url}" in log.read_text()
        dashboard = re.findall(r"dashboard\s+(http://\S+)", log.read_text())[0]
        assert httpx.get(f"{dashboard}/0/data/queues.json", timeout=20).status_code == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(40) == 0


def test_a_count_that_is_no_number_is_a_clear_message(tmp_path: Path) -> None:
    with up(tmp_path / "up.log", WORKERS="many") as process:
        assert process.wait(30) == 1
    assert "WORKERS=many" in (tmp_path / "up.log").read_text()
    assert "Traceback" not in (tmp_path / "up.log").read_text()


def worker_of(fleet: "subprocess.Popen[bytes]") -> psutil.Process:
    return next(c for c in psutil.Process(fleet.pid).children() if "worker" in " ".join(c.cmdline()))


def gateway_of(fleet: "subprocess.Popen[bytes]") -> psutil.Process:
    return next(c for c in psutil.Process(fleet.pid).children() if "gateway" in " ".join(c.cmdline()))


def redis_of(fleet: "subprocess.Popen[bytes]") -> psutil.Process:
    return next(c for c in psutil.Process(fleet.pid).children() if "redis-server" in " ".join(c.cmdline()))


def transcript(url: str, content: bytes) -> str:
    """The transcript of a clip, in one call."""
    return str(httpx.post(f"{url}/transcribe", content=content, timeout=60).raise_for_status().json()["transcript"])


def test_what_dies_is_started_again_and_the_data_stays(tmp_path: Path, clips: list[Clip]) -> None:
    log, clip = tmp_path / "up.log", clips[0].content
    with up(log, WORKERS="1") as process:
        wait_until(lambda: bool(gateways(log)), "it is ready", 90)
        (url,) = gateways(log)
        job_id = httpx.post(f"{url}/v1/jobs?wait=30", content=clip, timeout=60).json()["job_id"]
        for which in (worker_of, gateway_of, redis_of):
            victim = which(process)
            victim.kill()
            wait_until(lambda which=which, victim=victim: _has_other(process, which, victim), "another one is there", 30)  # type: ignore[misc]
            wait_until(lambda: ready(url), "the fleet is ready again", 60)
        said = httpx.get(f"{url}/v1/jobs/{job_id}/result").raise_for_status().json()["transcript"]
        assert transcript(url, clip) == said
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    first = log.read_text()
    assert first.count("it is started again") == 3, first
    with up(log, WORKERS="1") as process:
        wait_until(lambda: bool(gateways(log)), "it is ready", 90)
        (url,) = gateways(log)
        assert httpx.get(f"{url}/v1/jobs/{job_id}/result").raise_for_status().json()["transcript"] == said
        again = httpx.post(f"{url}/v1/jobs?wait=30", content=clip, timeout=60).json()
        assert (again["status"], again["result"]["cached"]) == ("completed", True)


def _has_other(
    fleet: "subprocess.Popen[bytes]", which: Callable[["subprocess.Popen[bytes]"], psutil.Process], victim: psutil.Process
) -> bool:
    with suppress(StopIteration, psutil.NoSuchProcess):
        return bool(which(fleet).pid != victim.pid)
    return False


@pytest.mark.parametrize("how", ["Ctrl-C behind tee", "the reader is gone", "kill -9"])
def test_nothing_outlives_it(tmp_path: Path, how: str) -> None:
    log = tmp_path / "up.log"
    environment = os.environ | {"DATA_DIR": str(tmp_path / "data"), "WORKERS": "1", "PYTHON": sys.executable}
    line = f'"$PYTHON" -m deploy.local up 2>&1 | tee "{log}"'
    with subprocess.Popen(
        ["/bin/sh", "-c", line], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, start_new_session=True
    ) as shell:
        try:
            wait_until(lambda: log.exists() and bool(gateways(log)), "it is ready", 90)
            everything = psutil.Process(shell.pid).children(recursive=True)
            if how == "Ctrl-C behind tee":
                os.killpg(shell.pid, signal.SIGINT)
            elif how == "the reader is gone":
                next(c for c in everything if c.name() == "tee").kill()
            else:
                next(c for c in everything if "deploy.local" in " ".join(c.cmdline())).kill()
            wait_until(lambda: not [c for c in everything if alive(c)], f"nothing is left of {everything}", 40)
        finally:
            for child in everything:
                with suppress(psutil.NoSuchProcess):
                    child.kill()


def alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def test_two_of_them_do_not_share_data(tmp_path: Path) -> None:
    log = tmp_path / "up.log"
    with up(log, WORKERS="1"):
        wait_until(lambda: bool(gateways(log)), "it is ready", 90)
        with up(tmp_path / "second.log", WORKERS="1") as second:
            assert second.wait(30) == 1
    assert "Another fleet runs with the data" in (tmp_path / "second.log").read_text()


def test_json_is_json(tmp_path: Path) -> None:
    log = tmp_path / "up.log"
    inherited = os.environ | {"DATA_DIR": str(tmp_path / "data"), "WORKERS": "1", "LOG_FORMAT": "json"}
    command = [sys.executable, "-m", "deploy.local", "up"]
    with log.open("wb") as out, (tmp_path / "err.log").open("wb") as err:
        process = subprocess.Popen(command, cwd=ROOT, env=inherited, stdout=out, stderr=err, start_new_session=True)
    try:
        wait_until(lambda: "Ctrl-C" in (tmp_path / "err.log").read_text() and "model_ready" in log.read_text(), "it is ready", 90)
        process.send_signal(signal.SIGINT)
        process.wait(60)
    finally:
        process.kill()
        process.wait()
    lines = log.read_text().splitlines()
    assert lines and all(isinstance(json.loads(line), dict) for line in lines)


@pytest.mark.parametrize(("name", "value"), [("REDIS_URL", "foo"), ("MAX_WAIT_SECONDS", "soon"), ("WHISPER_BEAM_SIZE", "0")])
def test_wrong_settings_are_told_before_anything_starts(tmp_path: Path, name: str, value: str) -> None:
    with up(tmp_path / "up.log", **{name: value}) as process:
        assert process.wait(30) == 1
    told = (tmp_path / "up.log").read_text()
    assert told.startswith(name) and "Traceback" not in told and "gateway" not in told
