"""The cost of having each acknowledged job on disk: Redis syncs its file before each answer, against once a second."""

import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import redis

from tests.benchmarks.load import request, send_all
from tests.benchmarks.submit_latency import clip, one_client
from tests.processes import DURABLE, running_stack
from tests.report import Finding, milliseconds

ROUNDS, ONE_BY_ONE, AT_ONCE, CONNECTIONS = 3, 50, 200, 8
SETTINGS = ("everysec", "always")


def durability(folder: Path) -> Iterator[Finding]:
    """One server whose setting changes between rounds: the baseline and the compared setting are measured in turn."""
    took: dict[str, list[float]] = {setting: [] for setting in SETTINGS}
    rates: dict[str, list[float]] = {setting: [] for setting in SETTINGS}
    numbers = iter(range(2_000_000, 3_000_000))
    with running_stack(folder / "durability", workers=0, redis_options=DURABLE) as stack:
        server, port = stack.server.client(), stack.port()
        for _ in range(ROUNDS):
            for setting in SETTINGS:
                server.config_set("appendfsync", setting)
                took[setting] += one_client(port, [clip(next(numbers)) for _ in range(ONE_BY_ONE)])[0]
                sent = [request("/v1/jobs?language=en", clip(next(numbers)), "audio/wav") for _ in range(AT_ONCE)]
                rates[setting].append(send_all(port, sent, CONNECTIONS)[0])
        yield _by_waitaof(server)
        server.close()
    ratio = statistics.median(took["always"]) / statistics.median(took["everysec"])
    rate = {setting: statistics.median(each) for setting, each in rates.items()}
    yield Finding(
        experiment="submit of a 96 KB clip, on disk when it is answered (appendfsync always), one client; baseline: everysec",
        must="told",
        seen=f"p50 {ratio:.2f} x: {milliseconds(took['always'])} against {milliseconds(took['everysec'])}",
        holds=True,
    )
    yield Finding(
        experiment=f"the same, {CONNECTIONS} connections: submits per second",
        must="told",
        seen=f"{rate['always'] / rate['everysec']:.2f} x: {rate['always']:.0f} against {rate['everysec']:.0f} per second",
        holds=True,
    )


def _by_waitaof(client: "redis.Redis") -> Finding:
    """The other way to be sure: sync once a second, and let the client wait for it. Measured on Redis alone."""
    took = {setting: list[float]() for setting in SETTINGS}
    name = "SET of 96 KB under everysec with WAITAOF behind it in the same write, one client; baseline: SET under always"
    try:
        client.execute_command("WAITAOF", 0, 0, 1)  # type: ignore[no-untyped-call]
    except redis.ResponseError:
        return Finding(experiment=name, must="told", seen="this server has no WAITAOF (it came with Redis 7.2)", holds=True)
    for setting in SETTINGS * ROUNDS:
        client.config_set("appendfsync", setting)
        for _ in range(ONE_BY_ONE):
            started = time.perf_counter()
            with client.pipeline(transaction=False) as both:
                both.set("durability", os.urandom(96_000))
                if setting == "everysec":
                    both.execute_command("WAITAOF", 1, 0, 2000)  # type: ignore[no-untyped-call]
                both.execute()
            took[setting].append((time.perf_counter() - started) * 1000)
    ratio = statistics.median(took["everysec"]) / statistics.median(took["always"])
    seen = f"p50 {ratio:.1f} x: {milliseconds(took['everysec'])} against {milliseconds(took['always'])}"
    return Finding(experiment=name, must="told", seen=seen, holds=True)
