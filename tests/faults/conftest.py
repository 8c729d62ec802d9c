"""A fleet whose models misbehave on demand."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.experiments.arena import Arena, arena


@pytest.fixture
def zoo(tmp_path: Path) -> Iterator[Arena]:
    """One gateway and one worker, leases of two seconds, a second of patience without progress."""
    with arena(tmp_path / "zoo", LEASE_SECONDS="2", NO_PROGRESS_TIMEOUT_SECONDS="1") as fleet:
        yield fleet
