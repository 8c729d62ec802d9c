"""`make demo`: starts a whole fleet on this machine, transcribes the sample clips, and checks the transcripts."""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
from rich.console import Console
from rich.markup import escape

from client.batch import transcribe_all
from client.errors import ClientError
from client.fleet import FleetClient
from deploy.local.ports import PortTaken, choose
from deploy.local.processes import Child, ProcessEnded, child
from deploy.local.redis_server import NoRedisServer, own_redis
from deploy.local.samples import Sample, samples, word_error_rate
from deploy.local.sizing import set_sizes

READY_SECONDS = 120.0
ANSWER_SECONDS = 120.0
STOP_SECONDS = 15.0
HIGHEST_ERROR_RATE = 0.10


def run() -> int:
    """Run the demo. Returns 0 if the transcripts are right, else 1."""
    console = Console(highlight=False, soft_wrap=True)
    try:
        with _stack(console) as (url, children):
            return _demonstrate(url, children, console)
    except (NoRedisServer, PortTaken, ProcessEnded, ClientError, TimeoutError) as error:
        console.print(f"[red]{escape(str(error))}[/red]")
        return 1


@contextmanager
def _stack(console: Console) -> Iterator[tuple[str, list[Child]]]:
    """Run a Redis (unless REDIS_URL names one), and as many gateways and workers as GATEWAYS and WORKERS say.

    Yields the URL of the first gateway, and the gateways and workers. At the end all processes are stopped.
    """
    environment = os.environ | {"API_HOST": "127.0.0.1", "DRAIN_SECONDS": "3", "PYTHONUNBUFFERED": "1"}
    gateways, workers = set_sizes(environment)
    environment.setdefault("WHISPER_MODEL", "demo")
    first_port = choose(os.environ, "API_PORT", 8000, gateways)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="whisper-fleet-")))
        if not environment.get("REDIS_URL"):
            environment["REDIS_URL"] = stack.enter_context(own_redis(choose({}, "", 6379), folder, environment))
            console.print(f"[green]✓[/green] redis    {environment['REDIS_URL']}")

        def start(name: str, module: str, **more: str) -> Child:
            command = [sys.executable, "-m", module]
            return stack.enter_context(child(name, command, environment | more, folder / f"{name}.log", STOP_SECONDS))

        working = [start(f"worker{i}", "worker") for i in range(workers)]
        answering = [start(f"gateway{i}", "gateway", API_PORT=str(first_port + i)) for i in range(gateways)]
        yield f"http://127.0.0.1:{first_port}", [*answering, *working]
        for worker in working:
            worker.ask_to_stop()


def _demonstrate(url: str, children: list[Child], console: Console) -> int:
    started = time.monotonic()
    _wait_ready(url, children)
    console.print(f"[green]✓[/green] gateway  {url}")
    console.print(f"[green]✓[/green] worker   model loaded, ready after {time.monotonic() - started:.1f} s\n")
    started = time.monotonic()
    with FleetClient(url, os.environ.get("API_KEY")) as client:
        heard = _transcribe(client, samples(), children, console)
    return _judge(heard, time.monotonic() - started, console)


def _wait_ready(url: str, children: list[Child]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not _is_ready(url):
        for process in children:
            process.check()
        if time.monotonic() > deadline:
            tails = "\n".join(f"{process.name}:\n{process.log_tail()}" for process in children)
            raise TimeoutError(f"The fleet is not ready after {READY_SECONDS:.0f} s.\n{tails}")
        time.sleep(0.1)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def _transcribe(client: FleetClient, wanted: list[Sample], children: list[Child], console: Console) -> dict[str, tuple[str, str]]:
    """Transcribe the clips and print each transcript as it arrives. Returns spoken text and transcript by clip name."""
    by_path = {sample.path: sample for sample in wanted}
    heard: dict[str, tuple[str, str]] = {}
    for done in transcribe_all(client, list(by_path), "text", {}, console, timeout=ANSWER_SECONDS):
        sample = by_path[done.path]
        if done.error is not None:
            for process in children:
                process.check()
            raise done.error
        text = str(done.transcript).strip()
        heard[sample.path.name] = (sample.text, text)
        _show(sample, text, console)
    return heard


def _show(sample: Sample, text: str, console: Console) -> None:
    rate = word_error_rate([sample.text], [text])
    mark = "[green]✓[/green]" if rate <= HIGHEST_ERROR_RATE else "[red]✗[/red]"
    console.print(f"{mark} [dim]{escape(sample.path.name)}[/dim]  {escape(text)}")
    if rate > 0:
        console.print(f"  [dim]said: {escape(sample.text)} ({rate:.0%} of the words wrong)[/dim]")


def _judge(heard: dict[str, tuple[str, str]], seconds: float, console: Console) -> int:
    said, got = zip(*heard.values(), strict=True)
    rate = word_error_rate(list(said), list(got))
    right = rate <= HIGHEST_ERROR_RATE and all(got)
    verdict = "[green]right[/green]" if right else f"[red]wrong[/red] (more than {HIGHEST_ERROR_RATE:.0%}, or nothing heard)"
    console.print(f"\n{len(heard)} clips in {seconds:.1f} s, word error rate {rate:.1%}: {verdict}")
    if right:
        console.print("Next: [bold]make up[/bold] keeps the fleet running.")
    return 0 if right else 1
