"""`make faults`: run the experiments, print their table, write docs/reliability.md."""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console

from tests.faults.experiments.chaos import chaos
from tests.faults.experiments.interruption import interruption
from tests.faults.experiments.recovery import recovery
from tests.faults.experiments.soak import soak
from tests.processes import ROOT, redis_server
from tests.report import Finding, machine, screen, table

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
    console.print(screen(findings))
    minutes = (time.monotonic() - started) / 60
    if not chosen:
        with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as server:
            (ROOT / "docs" / "reliability.md").write_text(_page(findings, minutes, machine(server.client())))
    console.print(f"{sum(f.holds for f in findings)} of {len(findings)} hold; {minutes:.1f} minutes")
    return 0 if all(f.holds for f in findings) else 1


def _page(findings: list[Finding], minutes: float, where: str) -> str:
    return f"""# What is done to the fleet, and what becomes of its jobs

Written by `make faults` ({minutes:.1f} minutes; {where}). Real gateways, workers and Redis servers, killed with real signals. The
model is the zoo of `tests/faults/zoo.py`, whose transcript is a number hidden in the audio: a transcript that went to another job
would show. Leases are the default 10 s unless a row says otherwise.

{table(findings)}

Each row is a function in `tests/faults/experiments/`; `make faults ONLY=recovery` runs one file of them. After every experiment
all keys in Redis are enumerated and each must have an owner (`ledger.py`).
"""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
