"""What an experiment or a benchmark found, and the table of all of them."""

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import redis
from rich.table import Table


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


def milliseconds(values: Sequence[float]) -> str:
    """Median, 95th and 99th percentile."""
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return f"p50 {cuts[49]:.1f} ms, p95 {cuts[94]:.1f} ms, p99 {cuts[98]:.1f} ms (n={len(values)})"


def p95(values: Sequence[float]) -> float:
    """The 95th percentile, within the values seen."""
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


def table(findings: Sequence[Finding]) -> str:
    """In Markdown."""
    rows = ["| experiment | must be | seen | |", "|---|---|---|---|"]
    rows += [f"| {f.experiment} | {f.must} | {f.seen} | {'holds' if f.holds else '**does not hold**'} |" for f in findings]
    return "\n".join(rows)


def machine(server: "redis.Redis") -> str:
    """What a measurement was taken on."""
    version = server.info("server")["redis_version"]
    return (
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, Redis {version}, all on one machine"
    )


def screen(findings: Sequence[Finding]) -> Table:
    """For a terminal."""
    drawn = Table("experiment", "must be", "seen", "", show_lines=True)
    for f in findings:
        drawn.add_row(f.experiment, f.must, f.seen, "[green]holds[/]" if f.holds else "[red]does not hold[/]")
    return drawn
