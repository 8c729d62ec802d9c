"""Results that a failover may have lost are written again, once."""

import pytest

from worker.supervising import written_lately
from worker.supervising.written_lately import WrittenLately


def test_what_was_written_to_an_earlier_master_is_written_again_once() -> None:
    at = [None, "one", "one", "two", "two"]
    lately = WrittenLately[str](lambda: at[0])
    told = []
    for _ in range(len(at) - 1):
        at.pop(0)
        told.append(lately.to_write_again())
        lately.note(f"at {at[0]}")
    assert told == [[], [], ["at one", "at one"], []]


def test_nothing_is_written_again_while_nobody_knows_the_master() -> None:
    at: list[str | None] = ["one"]
    lately = WrittenLately[str](lambda: at[0])
    lately.note("a")
    at[0] = None
    assert lately.to_write_again() == []
    at[0] = "two"
    assert lately.to_write_again() == ["a"]


def test_old_results_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    at = ["one"]
    lately = WrittenLately[str](lambda: at[0])
    monkeypatch.setattr(written_lately, "KEPT_SECONDS", -1.0)
    lately.note("old")
    lately.note("new")
    at[0] = "two"
    assert lately.to_write_again() == ["new"]
