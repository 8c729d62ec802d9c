"""Units of speech: words, and characters where a script has no spaces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.transcripts.spoken_units import bare, units_of


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("Unfortunately.", ["Unfortunately."]),
        ("it's  well-known, (really)", ["it's", "  well-known,", " (really)"]),
        ("我们。去", ["我", "们。", "去"]),
        ("用 iPhone打 电话", ["用", " iPhone", "打", " 电", "话"]),
        ("ที่นี่", ["ที่", "นี่"]),
        ("안녕 하세요", ["안녕", " 하세요"]),
        ("", []),
    ],
)
def test_units(text: str, units: list[str]) -> None:
    assert units_of(text) == units


def test_units_compare_without_case_and_marks() -> None:
    assert [bare(unit) for unit in (" Unfortunately.", "(WELL)", "don't", "Straße", " -", "们。")] == [
        "unfortunately",
        "well",
        "dont",
        "strasse",
        "-",
        "们",
    ]


@given(st.text())
def test_put_together_they_are_the_text(text: str) -> None:
    units = units_of(text)
    assert "".join(units) == text
    assert all(unit.strip() for unit in units) or not text.strip()
