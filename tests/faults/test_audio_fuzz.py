"""The audio fuzz, small enough for every run of the tests; `python -m tests.faults.audio_fuzz` runs all of it."""

import pytest

from tests.faults.audio_fuzz import through_walls
from tests.faults.fuzz_http import send
from tests.faults.fuzz_mutations import mutant
from tests.faults.fuzz_seeds import seeds
from tests.processes import Stack

THROUGH_WALLS, OVER_HTTP = 400, 60


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """The files that are to be broken."""
    return seeds()


def test_broken_audio_breaks_nothing_and_loses_nothing_in_silence(files: dict[str, bytes]) -> None:
    seen = through_walls(range(THROUGH_WALLS), files)
    assert not seen.unforeseen and not seen.lost
    assert sum(count for kind, count in seen.kinds.items() if kind.startswith("taken")) > THROUGH_WALLS // 4


def test_broken_audio_over_http_is_refused_or_transcribed(stack: Stack, files: dict[str, bytes]) -> None:
    sent = send(stack, range(OVER_HTTP), files)
    assert not sent.faults
    assert sent.kinds["completed"] > OVER_HTTP // 4


def test_a_number_gives_the_same_file_again(files: dict[str, bytes]) -> None:
    assert mutant(1234, files) == mutant(1234, seeds())
