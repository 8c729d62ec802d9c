"""After the storm: nothing moves any more, every job is looked at once more, and the books are read."""

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

#: When the last story has been told, all that is left must end within this time.
SETTLE_SECONDS = 60.0
LEDGER_SECONDS = 20.0
AUDITORS = 8


def audited(fleet: Fleet, clients: Clients, operations: Sequence[Operation]) -> Mapping[str, Any]:
    """The counters when nothing moves any more, or when it has moved for too long; by then the history has the last looks."""

    def at_rest() -> bool:
        stats = fleet.stats()
        return bool(stats) and not stats["queued_jobs"] and not stats["in_flight"]

    with suppress(AssertionError):
        wait_until(at_rest, "nothing moves", SETTLE_SECONDS, 0.2)
    with ThreadPoolExecutor(AUDITORS) as auditors:
        list(auditors.map(lambda job: _look(clients.mine(), job), job_histories(operations)))
    return fleet.stats()


def _look(auditor: Client, job: str) -> None:
    """The last word on a job: its record, and its result."""
    auditor.answered(lambda: auditor.poll(job))
    auditor.answered(lambda: auditor.result(job))


def orphans(fleet: Fleet) -> list[str]:
    """Keys without an owner, and counters of waiting work that differ from what waits; not of a moment in between."""
    found: list[str] = []

    def clean() -> bool:
        with fleet.redis(30) as server:
            found[:] = Ledger(server).faults()
        return not found

    with suppress(AssertionError):
        wait_until(clean, "the books are closed", LEDGER_SECONDS, 0.5)
    return found
