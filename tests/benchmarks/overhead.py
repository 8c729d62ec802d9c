"""What the fleet adds to a decode, what a cache hit costs, and whether anything grows with the queue."""

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from shared.scripting import text
from tests.faults import zoo
from tests.faults.zoo import Animal
from tests.processes import Stack, redis_server, running_stack
from tests.report import Finding, milliseconds
from tests.script_driver import ScriptDriver

TIMES = 300
ZOO = {"WHISPER_ENGINE": "tests.faults.zoo:ZooEngine", "WHISPER_MODEL": "zoo"}
SHORT_QUEUE, LONG_QUEUE, PROBES = 100, 10_000, 200


def overhead(folder: Path) -> Iterator[Finding]:
    """An idle fleet with a model that takes no time: what is left is ours."""
    with running_stack(folder / "overhead", **ZOO) as stack:  # type: ignore[arg-type]
        rounds, wakes = _round_trips(stack)
        hits = _cache_hits(stack)
    p50, p99 = statistics.median(rounds), statistics.quantiles(rounds, n=100)[98]
    yield Finding(
        experiment="submit to result with a model that takes no time, 32 KB clips, idle fleet",
        must="p50 <= 8 ms, p99 <= 30 ms",
        seen=milliseconds(rounds),
        holds=p50 <= 8 and p99 <= 30,
    )
    yield Finding(
        experiment="long-poll: from the event that the result is written to the answer at the client",
        must="p50 <= 3 ms",
        seen=milliseconds(wakes),
        holds=statistics.median(wakes) <= 3,
    )
    yield Finding(
        experiment="cache hit, 99 KB clip", must="p50 <= 5 ms", seen=milliseconds(hits), holds=statistics.median(hits) <= 5
    )


def growth(folder: Path) -> Iterator[Finding]:
    """The same steps with a short and with a long queue, in turn on one server."""
    (folder / "growth").mkdir()
    with redis_server(folder / "growth") as server:
        fleet = ScriptDriver(server.client())
        short, long = _steps(fleet, SHORT_QUEUE), _steps(fleet, LONG_QUEUE)
    ratios = {name: long[name] / short[name] for name in short}
    yield Finding(
        experiment=f"cost of each step in Redis with {LONG_QUEUE:,} jobs waiting, against {SHORT_QUEUE}",
        must="flat (<= 1.3 x)",
        seen=", ".join(f"{name} {short[name]:.2f} ms, {ratio:.2f} x" for name, ratio in ratios.items()),
        holds=max(ratios.values()) <= 1.3,
    )


def _round_trips(stack: Stack) -> tuple[list[float], list[float]]:
    """Milliseconds of `POST /v1/jobs?wait=`, and from the event to the answer."""
    ended: dict[str, float] = {}
    listening = threading.Event()

    def listen() -> None:
        with stack.server.client() as client, client.pubsub() as pubsub:
            pubsub.subscribe("fleet:events")
            for message in pubsub.listen():
                listening.set()
                if message["type"] == "message":
                    ended[text(message["data"])] = time.perf_counter()
                    if len(ended) == TIMES + 10:
                        return

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    assert listening.wait(10)
    rounds, wakes = [], []
    with stack.client() as client:
        for number in range(TIMES + 10):
            content = zoo.clip(Animal.GOOD, number)
            started = time.perf_counter()
            job = client.post("/v1/jobs?wait=10", content=content).raise_for_status().json()
            answered = time.perf_counter()
            assert job["status"] == "completed"
            rounds.append((answered - started) * 1000)
            wakes.append((answered, job["job_id"]))
    listener.join(10)
    return rounds[10:], [max(0.0, (answered - ended[job_id]) * 1000) for answered, job_id in wakes[10:]]


def _cache_hits(stack: Stack) -> list[float]:
    content, took = zoo.clip(Animal.GOOD, TIMES + 100, seconds=3.1), []
    with stack.client() as client:
        client.post("/v1/jobs?wait=60", content=content).raise_for_status()
        for _ in range(TIMES):
            started = time.perf_counter()
            assert client.post("/v1/jobs", content=content).json()["result"]["cached"]
            took.append((time.perf_counter() - started) * 1000)
    return took


def _steps(fleet: ScriptDriver, waiting: int) -> dict[str, float]:
    """Median milliseconds of each step while so many jobs wait."""
    fleet.redis.flushall()
    limits: dict[str, Any] = {"max_bytes": 10**9, "max_audio_ms": 10**9}
    for number in range(waiting):
        fleet.submit(f"job{number}", **limits)
    claimed: list[str] = []

    def claim_and_finish() -> None:
        job = fleet.claim()
        claimed.append(job["id"])
        fleet.finish(job["id"], job["token"])

    steps: dict[str, Callable[[int], object]] = {
        "submit": lambda n: fleet.submit(f"more{n}", **limits),
        "poll with position": lambda n: fleet.run("read", id=f"more{n}", tenant="default", lanes=["interactive"]),
        "claim and finish": lambda _: claim_and_finish(),
    }
    return {name: statistics.median(_timed(step, n) for n in range(PROBES)) for name, step in steps.items()}


def _timed(step: Callable[[int], object], number: int) -> float:
    started = time.perf_counter()
    step(number)
    return (time.perf_counter() - started) * 1000
