"""What an experiment found, and the table of all of them."""

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import redis


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One row: what was done, what must be, what was seen, and whether that is enough."""

    experiment: str
    must: str
    seen: str
    holds: bool


def spread(seconds: Sequence[float]) -> str:
    """Median, 95th percentile and maximum."""
    return f"p50 {statistics.median(seconds):.2f} s, p95 {p95(seconds):.2f} s, max {max(seconds):.2f} s (n={len(seconds)})"


def p95(values: Sequence[float]) -> float:
    """The 95th percentile, within the values seen."""
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


def table(findings: Sequence[Finding]) -> str:
    """In Markdown."""
    rows = ["| experiment | must be | seen | |", "|---|---|---|---|"]
    rows += [f"| {f.experiment} | {f.must} | {f.seen} | {'holds' if f.holds else '**does not hold**'} |" for f in findings]
    return "\n".join(rows)


def page(findings: Sequence[Finding], minutes: float, server: "redis.Redis") -> str:
    """docs/reliability.md."""
    version = server.info("server")["redis_version"]
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, Redis {version}"
    return f"""# What is done to the fleet, and what becomes of its jobs

Written by `make faults` ({minutes:.1f} minutes; {machine}; everything on one machine). Real gateways, workers and Redis servers,
killed with real signals. The model is the zoo of `tests/faults/zoo.py`, whose transcript is a number hidden in the audio: a
transcript that went to another job would show. Leases are the default 10 s unless a row says otherwise.

{table(findings)}

Each row is a function in `tests/faults/experiments/`; `make faults ONLY=recovery` runs one file of them. After every experiment
all keys in Redis are enumerated and each must have an owner (`ledger.py`).
"""
