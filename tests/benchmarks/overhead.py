"""The time that the fleet adds to a decode, the cost of a cache hit, and whether any step takes longer with a longer queue."""

import json
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from shared.jobs.scripting import text
from tests.benchmarks.load import Connection, request
from tests.faults import zoo
from tests.faults.zoo import Animal
from tests.host import HostClock
from tests.processes import RedisServer, Stack, redis_server, running_stack, wait_until
from tests.report import Finding, milliseconds
from tests.script_driver import ScriptDriver

ZOO = {"WHISPER_ENGINE": "tests.faults.zoo:ZooEngine", "WHISPER_MODEL": "zoo"}
#: Round trips are measured in spells. Only the spells count in which the host withheld least of the processors' time.
SPELLS, SPELL_TIMES, QUIETEST = 40, 25, 10
HITS = 300
SHORT_QUEUE, LONG_QUEUE, PROBES = 100, 10_000, 200
LIMITS: dict[str, Any] = {"max_bytes": 10**9, "max_audio_ms": 10**9}


@dataclass(frozen=True, kw_only=True)
class Spell:
    """Milliseconds of `POST /v1/jobs?wait=` and from the event to the answer, and the share of time that the host withheld."""

    rounds: list[float]
    wakes: list[float]
    withheld: float


def overhead(folder: Path) -> Iterator[Finding]:
    """An idle fleet with a model that takes no time: only the fleet's own time is left."""
    with running_stack(folder / "overhead", **ZOO) as stack:  # type: ignore[arg-type]
        spells = _spells(stack)
        hits = _cache_hits(stack)
    quiet = sorted(spells, key=lambda spell: spell.withheld)[:QUIETEST]
    rounds, wakes = ([m for spell in quiet for m in getattr(spell, what)] for what in ("rounds", "wakes"))
    every = [m for spell in spells for m in spell.rounds]
    p50, p99 = statistics.median(rounds), statistics.quantiles(rounds, n=100)[98]
    yield Finding(
        experiment=f"submit to result with a model that takes no time, 32 KB clips, idle fleet; the {QUIETEST} of {SPELLS} "
        "spells in which the host withheld least",
        must="p50 <= 8 ms, p99 <= 30 ms",
        seen=f"{milliseconds(rounds)}, at most {quiet[-1].withheld:.0%} withheld; in all spells {milliseconds(every)}",
        holds=p50 <= 8 and p99 <= 30,
    )
    yield Finding(
        experiment="long-poll: from the event that the result is written to the answer at the client, in the same spells",
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
        short, long = (_queue(server, number, jobs) for number, jobs in enumerate((SHORT_QUEUE, LONG_QUEUE)))
        took = [(_timed_steps(short, n), _timed_steps(long, n)) for n in range(PROBES)]
    medians = {name: [statistics.median(pair[i][name] for pair in took) for i in (0, 1)] for name in took[0][0]}
    ratios = {name: with_long / with_short for name, (with_short, with_long) in medians.items()}
    yield Finding(
        experiment=f"cost of each step in Redis with {LONG_QUEUE:,} jobs waiting, against {SHORT_QUEUE}",
        must="flat (<= 1.3 x)",
        seen=", ".join(f"{name} {medians[name][0]:.3f} ms, {ratio:.2f} x" for name, ratio in ratios.items()),
        holds=max(ratios.values()) <= 1.3,
    )


def _spells(stack: Stack) -> list[Spell]:
    """Measure round trips with a client that costs little, so that the time of a client library does not count."""
    ended: dict[str, float] = {}
    listening = threading.Event()

    def listen() -> None:
        with stack.server.client() as client, client.pubsub() as pubsub:
            pubsub.subscribe("fleet:events")
            for message in pubsub.listen():
                listening.set()
                if message["type"] == "message":
                    ended[text(message["data"]).partition("\n")[0]] = time.perf_counter()
                    if len(ended) == (SPELLS + 1) * SPELL_TIMES:
                        return

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    assert listening.wait(10)
    spells: list[Spell] = []
    with Connection(stack.port()) as connection:
        for spell in range(SPELLS + 1):
            clock = HostClock()
            trips = [_round_trip(connection, spell * SPELL_TIMES + n) for n in range(SPELL_TIMES)]
            withheld = clock.withheld()
            wait_until(lambda: all(job_id in ended for job_id, _, _ in trips), "the events have come", 10)  # noqa: B023
            wakes = [(answered - ended[job_id]) * 1000 for job_id, _, answered in trips]
            rounds = [(answered - started) * 1000 for _, started, answered in trips]
            spells.append(Spell(rounds=rounds, wakes=wakes, withheld=withheld))
    return spells[1:]  # the first spell warms everything


def _round_trip(connection: Connection, number: int) -> tuple[str, float, float]:
    """The job's id, when it was submitted, and when it was answered."""
    sent = request("/v1/jobs?wait=10", zoo.clip(Animal.GOOD, number), "audio/wav")
    started = time.perf_counter()
    status, body = connection.exchange(sent)
    answered = time.perf_counter()
    job = json.loads(body)
    assert (status, job["status"]) == (200, "completed")
    return job["job_id"], started, answered


def _cache_hits(stack: Stack) -> list[float]:
    sent, took = request("/v1/jobs?wait=60", zoo.clip(Animal.GOOD, 29_000, seconds=3.1), "audio/wav"), []
    with Connection(stack.port()) as connection:
        connection.exchange(sent)
        for _ in range(HITS):
            started = time.perf_counter()
            _, body = connection.exchange(sent)
            took.append((time.perf_counter() - started) * 1000)
            assert json.loads(body)["result"]["cached"]
    return took


def _queue(server: RedisServer, database: int, waiting: int) -> ScriptDriver:
    """A fleet in a database of its own, with this many jobs waiting."""
    fleet = ScriptDriver(redis.Redis.from_url(server.url.replace("/0", f"/{database}")))
    for number in range(waiting):
        fleet.submit(f"job{number}", **LIMITS)
    return fleet


def _timed_steps(fleet: ScriptDriver, number: int) -> dict[str, float]:
    """Milliseconds that each step takes in Redis."""

    def claim_and_finish() -> None:
        job = fleet.claim()
        fleet.finish(job["id"], job["token"])

    steps: dict[str, Callable[[], object]] = {
        "submit": lambda: fleet.submit(f"more{number}", **LIMITS),
        "poll with position": lambda: fleet.run("read", id=f"more{number}", tenant="default", lane_kinds=["interactive"]),
        "claim and finish": claim_and_finish,
    }
    return {name: _milliseconds_in_redis(fleet, step) for name, step in steps.items()}


def _milliseconds_in_redis(fleet: ScriptDriver, step: Callable[[], object]) -> float:
    """Milliseconds that a step's scripts take, by Redis' own clock. The time of client and network would hide a growth."""

    def spent() -> float:
        return float(fleet.redis.info("commandstats")["cmdstat_evalsha"]["usec"]) / 1000

    before = spent()
    step()
    return spent() - before
