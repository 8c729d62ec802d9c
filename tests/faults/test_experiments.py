"""The experiments of `make faults`, small enough for every run of the tests."""

from pathlib import Path

from tests.faults.experiments.proof import proof
from tests.faults.experiments.soak import soak


def test_the_proof_in_short(tmp_path: Path) -> None:
    (finding,) = proof(tmp_path, seconds=8, jobs=60)
    assert finding.holds, finding


def test_a_short_soak_leaves_no_orphans(tmp_path: Path) -> None:
    (finding,) = soak(tmp_path, jobs=500, batches=3)
    assert "0 orphans" in finding.seen, finding
