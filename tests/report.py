"""The findings of experiments and benchmarks, and the table of them."""

import os
import platform
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.host import HostClock, processor
from tests.processes import redis_binary


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One row: what was done, the requirement, the result, and whether the result is good enough."""

    experiment: str
    must: str
    seen: str
    holds: bool
    #: Share of the processors' time that the host gave to other guests meanwhile.
    withheld: float = 0.0


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
    """The findings as a table in Markdown."""
    rows = ["| experiment | must be | seen | withheld by the host | |", "|---|---|---|---|---|"]
    rows += [_row(f) for f in findings]
    return "\n".join(rows)


def renewed(page: str, findings: Sequence[Finding]) -> str:
    """The page with each finding in place of the row of the same experiment. Raises `LookupError` unless there is exactly one."""
    lines = page.split("\n")
    for finding in findings:
        places = [place for place, line in enumerate(lines) if line.startswith(f"| {finding.experiment} |")]
        if len(places) != 1:
            raise LookupError(f"the page has {len(places)} rows of {finding.experiment!r}: run all of it")
        lines[places[0]] = _row(finding)
    return "\n".join(lines)


def _row(finding: Finding) -> str:
    cells = finding.experiment, finding.must, finding.seen, f"{finding.withheld:.1%}", _verdict(finding)
    return f"| {' | '.join(cells)} |"


def _verdict(finding: Finding) -> str:
    return "holds" if finding.holds else "**does not hold**"


def machine() -> str:
    """The machine of a measurement."""
    told = subprocess.run([redis_binary(), "--version"], capture_output=True, text=True, check=True).stdout
    version = told.split("v=")[1].split()[0]
    runs_on = f"Python {platform.python_version()}, Redis {version}"
    return f"{os.cpu_count()} cores of {processor()}, {runs_on}, all on one machine"


def screen(findings: Sequence[Finding]) -> Table:
    """The findings as a table for a terminal."""
    drawn = Table("experiment", "must be", "seen", "", show_lines=True)
    for f in findings:
        drawn.add_row(f.experiment, f.must, f.seen, "[green]holds[/]" if f.holds else "[red]does not hold[/]")
    return drawn


def run_parts(parts: Mapping[str, Callable[[Path], Iterator[Finding]]], chosen: Sequence[str]) -> list[Finding]:
    """Run the chosen parts, or all, each in a folder of its own. Prints each finding as it comes, then a table of all."""
    console, findings = Console(), []
    for name in chosen or parts:
        with tempfile.TemporaryDirectory() as folder:
            clock = HostClock()
            for found in parts[name](Path(folder)):
                finding = replace(found, withheld=clock.withheld())
                findings.append(finding)
                console.print(f"[{'green' if finding.holds else 'red'}]{name}[/]: {finding.experiment}: {finding.seen}")
    console.print(screen(findings))
    console.print(f"{sum(f.holds for f in findings)} of {len(findings)} hold")
    return findings
