"""The experiments of `make faults`, small enough for every run of the tests."""

from pathlib import Path

from tests.faults.experiments.chaos import chaos
from tests.faults.experiments.soak import soak


def test_jobs_survive_a_short_chaos(tmp_path: Path) -> None:
    findings = list(chaos(tmp_path, jobs=40, kills=8))
    assert all(finding.holds for finding in findings), findings


def test_a_short_soak_leaves_no_orphans(tmp_path: Path) -> None:
    (finding,) = soak(tmp_path, jobs=500)
    assert "0 orphans" in finding.seen, finding
