"""The cost of having each acknowledged job on disk: Redis syncs its file before each answer, against once a second."""

import statistics
from collections.abc import Iterator
from pathlib import Path

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
        redis, port = stack.server.client(), stack.port()
        for _ in range(ROUNDS):
            for setting in SETTINGS:
                redis.config_set("appendfsync", setting)
                took[setting] += one_client(port, [clip(next(numbers)) for _ in range(ONE_BY_ONE)])[0]
                sent = [request("/v1/jobs?language=en", clip(next(numbers)), "audio/wav") for _ in range(AT_ONCE)]
                rates[setting].append(send_all(port, sent, CONNECTIONS)[0])
        redis.close()
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
