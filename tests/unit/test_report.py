"""Pages of findings."""

import pytest

from tests.report import Finding, renewed, table

FIRST, SECOND = (Finding(experiment=name, must="> 1", seen="0.9 x", holds=False) for name in ("first", "second"))


def test_a_finding_takes_the_place_of_the_earlier_one_and_of_no_other() -> None:
    page = f"# Title\n\n{table([FIRST, SECOND])}\n\nThe end."
    better = Finding(experiment="second", must="> 1", seen="1.2 x", holds=True, withheld=0.5)
    assert renewed(page, [better]) == f"# Title\n\n{table([FIRST, better])}\n\nThe end."


def test_one_that_was_not_there_is_not_slipped_in() -> None:
    with pytest.raises(LookupError):
        renewed(table([FIRST]), [SECOND])
