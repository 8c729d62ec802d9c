"""Which results of a short encoder window are not believed."""

from typing import cast

import pytest
from ctranslate2.models import WhisperGenerationResult

from tests.spoken import Spoken
from worker.model.gate import believable


@pytest.mark.parametrize(
    ("why", "result", "believed"),
    [
        ("plain speech", Spoken(list(range(10, 22))), True),
        ("silence", Spoken([], no_speech_prob=0.9), True),
        ("speech that nothing is told of", Spoken([]), False),
        ("a word where several were spoken", Spoken([7], no_speech_prob=0.5), False),
        ("too unsure", Spoken(list(range(10, 22)), score=-1.1), False),
        ("going in circles", Spoken([7, 8, 9] * 12), False),
        ("more than anybody says", Spoken(list(range(60))), False),
        ("no end", Spoken(list(range(224))), False),
    ],
)
def test_the_gate(why: str, result: Spoken, believed: bool) -> None:
    options = {"length_penalty": 1, "max_length": 448}
    assert believable(cast("WhisperGenerationResult", result), 4, 3.0, options) is believed
