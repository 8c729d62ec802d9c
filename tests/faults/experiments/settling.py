"""The end of a run: waits until the fleet is at rest, polls every job once more, and checks all keys."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from tests.faults.experiments.ledger import Ledger
from tests.faults.proof.clients import Client, Clients
from tests.faults.proof.fleet import Fleet
from tests.faults.proof.history import Operation
from tests.faults.proof.observations import job_histories
from tests.processes import wait_until

#: How long the jobs that are left may take to end after the last story.
SETTLE_SECONDS = 60.0
LEDGER_SECONDS = 20.0
AUDITORS = 8


def audited(fleet: Fleet, clients: Clients, operations: Sequence[Operation]) -> Mapping[str, Any]:
    """Wait until no job waits or runs, for SETTLE_SECONDS at most, poll every job once more, and return the counters."""

    def at_rest() -> bool:
        stats = fleet.stats()
        return bool(stats) and not stats["queued_jobs"] and not stats["in_flight"]

    with suppress(AssertionError):
        wait_until(at_rest, "nothing moves", SETTLE_SECONDS, 0.2)
    with ThreadPoolExecutor(AUDITORS) as auditors:
        list(auditors.map(lambda job: _look(clients.mine(), job), job_histories(operations)))
    return fleet.stats()


def _look(auditor: Client, job: str) -> None:
    """Ask for a job's record and its result a last time."""
    auditor.answered(lambda: auditor.poll(job))
    auditor.answered(lambda: auditor.result(job))


def orphans(fleet: Fleet) -> list[str]:
    """The keys without an owner and the wrong counters that the ledger still finds after LEDGER_SECONDS."""
    found: list[str] = []

    def clean() -> bool:
        with fleet.redis(30) as server:
            found[:] = Ledger(server).faults()
        return not found

    with suppress(AssertionError):
        wait_until(clean, "the books are closed", LEDGER_SECONDS, 0.5)
    return found
