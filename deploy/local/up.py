"""`make up`: a small real deployment in the foreground, until Ctrl-C. A process that dies is started again, and data is kept."""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import ValidationError

from deploy.local import redis_server
from deploy.local.keeping import Keeper, Service
from deploy.local.output import Output
from deploy.local.ports import PortTaken, choose
from deploy.local.processes import ROOT, ProcessEnded
from deploy.local.readiness import Readiness
from deploy.local.redis_server import NoRedisServer
from deploy.local.sizing import set_sizes, told
from shared.redis_server.address import parsed, without_secrets
from shared.settings import GatewaySettings, WorkerSettings, complaint

#: How long workers may go on decoding after Ctrl-C, which should not take long. Then they hand their jobs back to the queue.
DRAIN_SECONDS = 5.0
#: Redis writes each command to its disk before it answers, so that an acknowledged job survives a power cut.
FSYNC = "always"


class DataInUse(Exception):
    """Another `make up` runs with the same data. The message names the folder."""


def run() -> int:
    """Run the fleet. Returns 0 when it was told to stop, 1 when something cannot start or run."""
    try:
        environment = _environment()
        _check_settings(environment)
        with _data(environment) as lock:
            _keep_running(environment, lock)
    except SystemExit:
        # Raised by `interruptible`. Being stopped is the normal end, so it is no failure.
        return 0
    except (NoRedisServer, PortTaken, ProcessEnded, DataInUse, ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        _forget_output()
    return 0


def _environment() -> dict[str, str]:
    """The environment of the services: `.env`, overridden by this process's environment, plus the values chosen here."""
    environment = {k: v for k, v in dotenv_values(ROOT / ".env").items() if v} | os.environ
    environment |= {
        "PYTHONUNBUFFERED": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', os.defpath)}",
    }
    gateways, _ = set_sizes(environment)
    environment.setdefault("WHISPER_MODEL", "demo")
    environment.setdefault("DRAIN_SECONDS", f"{DRAIN_SECONDS:g}")
    environment.setdefault("LOG_FORMAT", "console")
    host = environment.setdefault("API_HOST", "127.0.0.1")
    environment["API_PORT"] = str(choose(environment, "API_PORT", 8000, gateways, host))
    environment["DASHBOARD_PORT"] = str(choose(environment, "DASHBOARD_PORT", 9181))
    return environment


def _check_settings(environment: dict[str, str]) -> None:
    """Check the settings before any process is started. Raises `ValueError` with a message that names the variables."""
    os.environ |= environment
    for settings in (GatewaySettings, WorkerSettings):
        try:
            settings()
        except ValidationError as error:
            raise ValueError(complaint(error)) from error


@contextmanager
def _data(environment: dict[str, str]) -> Iterator[int | None]:
    """Lock the data folder of the stack's own Redis, and set REDIS_URL to that Redis. Yields the lock's file descriptor.

    Yields None, and locks nothing, if REDIS_URL names another Redis. Raises `DataInUse` when another process holds the lock.
    """
    if environment.get("REDIS_URL"):
        yield None
        return
    folder = Path(environment.setdefault("DATA_DIR", str(ROOT / "var")))
    folder.mkdir(parents=True, exist_ok=True)
    with folder.joinpath("lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataInUse(
                f"Another fleet runs with the data in {folder}; stop it, wait a moment, or name another DATA_DIR."
            ) from error
        environment["REDIS_URL"] = f"redis://127.0.0.1:{choose({}, '', 6379)}/0"
        yield lock.fileno()


def _keep_running(environment: dict[str, str], lock: int | None) -> None:
    output = Output(as_json=environment["LOG_FORMAT"] == "json")
    services = [*_dashboard(environment, output), *_gateways(environment), *_workers(environment)]
    if lock is not None:
        services.append(_redis(environment, lock))
    url = f"http://{environment['API_HOST']}:{environment['API_PORT']}"
    output.say(f"The fleet starts: {', '.join(service.name for service in services)}. Ctrl-C stops it.")
    Keeper(services, output).run(Readiness(url, output.say, _where(environment)).look)


def _dashboard(environment: dict[str, str], output: Output) -> list[Service]:
    if not _dashboard_knows(environment["REDIS_URL"]):
        output.say("No dashboard: rq-dashboard knows Sentinels only without TLS, user name and a password of their own.")
        return []
    # The dashboard gets only these variables, and above all no API key: it needs no others.
    own = {name: value for name, value in environment.items() if name in ("PATH", "HOME", "LANG", "PYTHONUNBUFFERED")}
    own["RQ_DASHBOARD_REDIS_URL"] = environment["REDIS_URL"]
    command = ["rq-dashboard", "--json", "--bind", "127.0.0.1", "--port", environment["DASHBOARD_PORT"]]
    return [Service(name="dashboard", command=[str(Path(sys.executable).parent / command[0]), *command[1:]], environment=own)]


def _dashboard_knows(url: str) -> bool:
    """Whether rq-dashboard can read such an address."""
    address = parsed(url)
    return not address.sentinels or not (address.uses_tls or address.options.get("username") or address.sentinel_options)


def _gateways(environment: dict[str, str]) -> list[Service]:
    first, command = int(environment["API_PORT"]), [sys.executable, "-m", "gateway"]
    return [
        Service(
            name=f"gateway.{n + 1}", command=command, environment=environment | {"API_PORT": str(first + n)}, patience_seconds=20
        )
        for n in range(int(environment["GATEWAYS"]))
    ]


def _workers(environment: dict[str, str]) -> list[Service]:
    command, patience = [sys.executable, "-m", "worker"], float(environment["DRAIN_SECONDS"]) + 10
    return [
        Service(name=f"worker.{n + 1}", command=command, environment=environment, patience_seconds=patience)
        for n in range(int(environment["WORKERS"]))
    ]


def _redis(environment: dict[str, str], lock: int) -> Service:
    """The Redis service. It inherits the lock, which is thus held until Redis has written everything, even if we are killed."""
    folder, port = Path(environment["DATA_DIR"]) / "redis", urlsplit(environment["REDIS_URL"]).port or 6379
    folder.mkdir(exist_ok=True)
    fsync = environment.get("REDIS_APPENDFSYNC") or FSYNC
    command = redis_server.command(port, folder, fsync)
    return Service(name="redis", command=command, environment=environment, pass_fds=(lock,), patience_seconds=30)


def _forget_output() -> None:
    """Replace stdout: Python flushes it at exit, which would fail if its reader is gone."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - to the end of the process


def _kept_in(environment: dict[str, str]) -> str:
    return f", data in {environment['DATA_DIR']}" if environment.get("DATA_DIR") else ""


def _where(environment: dict[str, str]) -> str:
    first, model = int(environment["API_PORT"]), environment["WHISPER_MODEL"]
    urls = [f"http://{environment['API_HOST']}:{first + i}" for i in range(int(environment["GATEWAYS"]))]
    key = ' -H "X-API-Key: $API_KEY"' if environment.get("API_KEY") else ""
    sample = "models/demo/clips/*.wav" if model == "demo" else "recording.wav"
    return "\n".join(
        [
            "",
            *(f"  gateway    {url}" for url in urls),
            f"  workers    {told(environment)} with model {model}",
            f"  dashboard  http://127.0.0.1:{environment['DASHBOARD_PORT']}",
            f"  redis      {without_secrets(environment['REDIS_URL'])}{_kept_in(environment)}",
            "",
            f"  try        .venv/bin/whisper-fleet transcribe --url {urls[0]} {sample}",
            f"  or         curl{key} -F file=@recording.wav {urls[0]}/transcribe",
            "  stop       Ctrl-C",
            "",
        ]
    )
