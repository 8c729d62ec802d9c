"""How many submits one gateway process takes per second, against a gateway as it is usually written."""

import base64
import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.benchmarks.load import request, send_all
from tests.benchmarks.submit_latency import clip
from tests.processes import ROOT, RedisServer, free_port, redis_server, running_stack, start, wait_until
from tests.report import Finding, milliseconds

COUNT, CONNECTIONS, ROUNDS = 300, 8, 3


def submits(folder: Path) -> Iterator[Finding]:
    """Both gateways get the same clips: this project's as raw bodies, the naive one as JSON, which is all that it accepts."""
    (folder / "naive").mkdir()
    clips = [[clip(100_000 * r + n) for n in range(COUNT)] for r in range(ROUNDS + 1)]
    with running_stack(folder / "ours", workers=0) as stack, redis_server(folder / "naive") as server, _naive(server) as naive:
        port, ours, theirs = stack.port(), list[float](), list[float]()
        for batch in clips[:ROUNDS]:
            ours.append(send_all(port, _raw(batch), CONNECTIONS)[0])
            theirs.append(send_all(naive, _json(batch), CONNECTIONS)[0])
        half = statistics.median(ours) / 2
        _, took = send_all(port, _raw(clips[-1]), CONNECTIONS, per_second=half)
    ratio, p99 = statistics.median(ours) / statistics.median(theirs), statistics.quantiles(took, n=100)[98]
    yield Finding(
        experiment="submits of 96 KB clips per second to one gateway process; baseline: FastAPI, RQ, base64 in pickled arguments",
        must=">= 4 x",
        seen=f"{ratio:.1f} x: {_span(ours)} against {_span(theirs)} per second ({ROUNDS} rounds of {COUNT})",
        holds=ratio >= 4,
    )
    yield Finding(
        experiment="latency of submits at half of that rate",
        must="p99 <= 50 ms",
        seen=f"{milliseconds(took)} at {half:.0f} per second",
        holds=p99 <= 50,
    )


@contextmanager
def _naive(server: RedisServer) -> Iterator[int]:
    """Run the naive gateway; yields its port."""
    port = free_port()
    command = [sys.executable, "-m", "tests.benchmarks.naive_gateway", str(port), server.url]
    running = start(command, server.folder / "naive.log", PYTHONPATH=str(ROOT))
    try:
        wait_until(lambda: _answers(port), "the naive gateway answers", 30)
        yield port
    finally:
        running.stop()


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/docs", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def _raw(clips: Sequence[bytes]) -> list[bytes]:
    return [request("/v1/jobs?language=en", content, "audio/wav") for content in clips]


def _json(clips: Sequence[bytes]) -> list[bytes]:
    bodies = (json.dumps({"audio": base64.b64encode(content).decode(), "language": "en"}) for content in clips)
    return [request("/jobs", body.encode(), "application/json") for body in bodies]


def _span(rates: Sequence[float]) -> str:
    return f"{statistics.median(rates):.0f} ({min(rates):.0f}-{max(rates):.0f})"
