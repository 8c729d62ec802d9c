"""What a short encoder window is made of, and what is not believed of it."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from worker.encoder_window import Windows, believable, content_frames


@dataclass
class Result:
    """As CTranslate2's: scores are sums of log probabilities over the length."""

    tokens: list[int]
    score: float = -0.2
    sequences_ids: list[list[int]] = field(init=False)
    scores: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.sequences_ids, self.scores = [self.tokens], [self.score]


@pytest.mark.parametrize("frames", [0, 1, 317, 3000])
def test_content_ends_where_the_padding_begins(frames: int) -> None:
    padded = np.zeros((1, 80, 3000), np.float32)
    padded[..., :frames] = -0.5
    assert content_frames(padded) == frames


@pytest.mark.parametrize(
    ("why", "result", "believed"),
    [
        ("plain speech", Result(list(range(10, 22))), True),
        ("silence", Result([]), True),
        ("too unsure", Result(list(range(10, 22)), score=-1.1), False),
        ("going in circles", Result([7, 8, 9] * 12), False),
        ("more than anybody says", Result(list(range(60))), False),
        ("no end", Result(list(range(224))), False),
    ],
)
def test_the_gate(why: str, result: Result, believed: bool) -> None:
    assert believable(result, 4, 3.0, {"length_penalty": 1, "max_length": 448}) is believed


def test_the_result_says_which_windows_it_came_from() -> None:
    kinds = {(1, 0, 0): "full", (1, 1, 0): "adaptive", (2, 1, 0): "mixed", (1, 1, 1): "full", (3, 2, 1): "mixed"}
    assert {counts: Windows(*counts).kind for counts in kinds} == kinds
