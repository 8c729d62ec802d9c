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
    """Run the chosen experiments, or all. Returns 0 if all findings hold. The page is written only if all were run."""
    started = time.monotonic()
    findings = run_parts(EXPERIMENTS, chosen)
    if not chosen:
        (ROOT / "docs" / "reliability.md").write_text(_page(findings, (time.monotonic() - started) / 60))
    return 0 if all(f.holds for f in findings) else 1


def _page(findings: list[Finding], minutes: float) -> str:
    return f"""# What is done to the fleet, and what becomes of its jobs

Written by `make faults` ({minutes:.1f} minutes; {machine()}).

Real gateways, workers and Redis servers, killed with real signals. The
model is the zoo of `tests/faults/zoo.py`, whose transcript is a number hidden in the audio, so that a transcript of another job
would be noticed. Leases are the default 10 s unless a row says otherwise.

{table(findings)}

Each row is a function in `tests/faults/experiments/`; `make faults ONLY=recovery` runs one file of them. After every experiment
all keys in Redis are enumerated and each must have an owner (`ledger.py`).

The first row is the proof. Its jobs and faults come from a seed, which the row names: `make faults ONLY=proof SEED=8` is
another run, and `MINUTES=60` a long one, with more of both. Every call of a client, and of an operator at rq-dashboard, is
written down with its answer or the lack of one. Then a checker (`tests/faults/proof/rules.py`), which knows nothing of the
product's code, reads that history: each acknowledged job has an end, and only one in each life; no state goes back but by
recovery; a job whose cancel was answered never completes; each transcript is that of its audio; the counters of `/stats` are
what the history tells. A call without an answer, or with a 5xx, may have happened or not, at any later time.
"""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
