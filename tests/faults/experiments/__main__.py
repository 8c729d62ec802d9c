"""`make faults`: run the experiments, print their table, write docs/reliability.md."""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.faults.experiments.chaos import chaos
from tests.faults.experiments.interruption import interruption
from tests.faults.experiments.recovery import recovery
from tests.faults.experiments.report import Finding, page
from tests.faults.experiments.soak import soak
from tests.processes import ROOT, redis_server

EXPERIMENTS: dict[str, Callable[[Path], Iterator[Finding]]] = {
    "chaos": chaos,
    "recovery": recovery,
    "interruption": interruption,
    "soak": soak,
}


def main(chosen: list[str]) -> int:
    """Zero if everything holds. The page is written only when everything was run."""
    console, findings, started = Console(), [], time.monotonic()
    for name in chosen or EXPERIMENTS:
        with tempfile.TemporaryDirectory() as folder:
            for finding in EXPERIMENTS[name](Path(folder)):
                findings.append(finding)
                console.print(f"[{'green' if finding.holds else 'red'}]{name}[/]: {finding.experiment}: {finding.seen}")
    console.print(_screen(findings))
    minutes = (time.monotonic() - started) / 60
    if not chosen:
        with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as server:
            (ROOT / "docs" / "reliability.md").write_text(page(findings, minutes, server.client()))
    console.print(f"{sum(f.holds for f in findings)} of {len(findings)} hold; {minutes:.1f} minutes")
    return 0 if all(f.holds for f in findings) else 1


def _screen(findings: list[Finding]) -> Table:
    table = Table("experiment", "must be", "seen", "", show_lines=True)
    for f in findings:
        table.add_row(f.experiment, f.must, f.seen, "[green]holds[/]" if f.holds else "[red]does not hold[/]")
    return table


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
