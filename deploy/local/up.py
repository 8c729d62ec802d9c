"""`make up`: the fleet in the foreground, under honcho, with rq-dashboard, until Ctrl-C."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from dotenv import dotenv_values
from honcho.environ import expand_processes, parse_procfile

from deploy.local.foreground import ForegroundManager
from deploy.local.ports import PortTaken, choose
from deploy.local.processes import ROOT, ProcessEnded
from deploy.local.redis_server import NoRedisServer, own_redis
from deploy.local.sizing import set_sizes, told

#: Ctrl-C should not take long; what is not decoded by then is handed back to the queue.
DRAIN_SECONDS = 5.0


def run() -> int:
    """0 when it was told to stop, 1 when a process ended by itself or the stack could not start."""
    try:
        with tempfile.TemporaryDirectory(prefix="whisper-fleet-") as folder, _environment(Path(folder)) as environment:
            return _keep_running(environment)
    except (NoRedisServer, PortTaken, ProcessEnded, TimeoutError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1


@contextmanager
def _environment(folder: Path) -> Iterator[dict[str, str]]:
    """All that the Procfile's processes need: `.env`, overridden by the environment, completed by what is chosen here."""
    environment = {k: v for k, v in dotenv_values(ROOT / ".env").items() if v} | os.environ
    environment |= {
        "PYTHONUNBUFFERED": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', os.defpath)}",
    }
    gateways, _ = set_sizes(environment)
    environment.setdefault("WHISPER_MODEL", "demo")
    environment.setdefault("DRAIN_SECONDS", f"{DRAIN_SECONDS:g}")
    host = environment.setdefault("API_HOST", "127.0.0.1")
    environment["API_PORT"] = str(choose(environment, "API_PORT", 8000, gateways, host))
    environment["DASHBOARD_PORT"] = str(choose(environment, "DASHBOARD_PORT", 9181))
    if environment.get("REDIS_URL"):
        yield environment
        return
    with own_redis(choose({}, "", 6379), folder, environment) as environment["REDIS_URL"]:
        yield environment


def _keep_running(environment: dict[str, str]) -> int:
    procfile = parse_procfile(ROOT.joinpath("Procfile").read_text())
    concurrency = {"gateway": int(environment["GATEWAYS"]), "worker": int(environment["WORKERS"])}
    manager = ForegroundManager(patience_seconds=float(environment["DRAIN_SECONDS"]) + 5.0)
    for process in expand_processes(procfile.processes, concurrency, environment, port=int(environment["API_PORT"])):
        manager.add_process(process.name, process.cmd, env=process.env, cwd=str(ROOT))
    print(_where(environment), flush=True)
    manager.loop()
    return 0 if manager.told_to_stop else 1


def _where(environment: dict[str, str]) -> str:
    first, model = int(environment["API_PORT"]), environment["WHISPER_MODEL"]
    urls = [f"http://{environment['API_HOST']}:{first + i}" for i in range(int(environment["GATEWAYS"]))]
    key = ' -H "X-API-Key: $API_KEY"' if environment.get("API_KEY") else ""
    redis = urlsplit(environment["REDIS_URL"])
    sample = "models/demo/clips/*.wav" if model == "demo" else "recording.wav"
    return "\n".join(
        [
            "",
            *(f"  gateway    {url}" for url in urls),
            f"  workers    {told(environment)} with model {model}",
            f"  dashboard  http://127.0.0.1:{environment['DASHBOARD_PORT']}",
            f"  redis      {redis.scheme}://{redis.hostname}:{redis.port or 6379}{redis.path}",
            "",
            f"  ready?     curl {urls[0]}/ready",
            f"  try        .venv/bin/whisper-fleet transcribe --url {urls[0]} {sample}",
            f"  or         curl{key} -F file=@recording.wav {urls[0]}/transcribe",
            "  stop       Ctrl-C",
            "",
        ]
    )
