"""`make faults`: run the experiments, print their table, write docs/reliability.md."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.faults.experiments.interruption import interruption
from tests.faults.experiments.long_files import long_files
from tests.faults.experiments.proof import proof
from tests.faults.experiments.recovery import recovery
from tests.faults.experiments.redis_stopped import redis_stopped
from tests.faults.experiments.rolling_upgrade import rolling_upgrade
from tests.faults.experiments.soak import soak
from tests.processes import ROOT
from tests.report import Finding, machine, run_parts, table

EXPERIMENTS: dict[str, Callable[[Path], Iterator[Finding]]] = {
    "proof": proof,
    "recovery": recovery,
    "interruption": interruption,
    "soak": soak,
    "long": long_files,
    "upgrade": rolling_upgrade,
    "stopped": redis_stopped,
}


def main(chosen: list[str]) -> int:
    """Zero if everything holds. The page is written only when everything was run."""
    started = time.monotonic()
    findings = run_parts(EXPERIMENTS, chosen)
    if not chosen:
        (ROOT / "docs" / "reliability.md").write_text(_page(findings, (time.monotonic() - started) / 60))
    return 0 if all(f.holds for f in findings) else 1


def _page(findings: list[Finding], minutes: float) -> str:
    return f"""# What is done to the fleet, and what becomes of its jobs

Written by `make faults` ({minutes:.1f} minutes; {machine()}).

Real gateways, workers and Redis servers, killed with real signals. The
model is the zoo of `tests/faults/zoo.py`, whose transcript is a number hidden in the audio: a transcript that went to another job
would show. Leases are the default 10 s unless a row says otherwise.

{table(findings)}

Each row is a function in `tests/faults/experiments/`; `make faults ONLY=recovery` runs one file of them. After every experiment
all keys in Redis are enumerated and each must have an owner (`ledger.py`).
"""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
