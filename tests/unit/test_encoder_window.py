"""How a short encoder window is made, and which of its results are not trusted."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import ctranslate2
import numpy as np
import pytest

from worker.model.batching import BatchingModel
from worker.model.encoder_window import AdaptiveWindow, Windows, believable, content_frames


@dataclass
class Result:
    """A result as CTranslate2 gives it: scores are sums of log probabilities over the length."""

    tokens: list[int]
    score: float = -0.2
    no_speech_prob: float = 0.1
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
        ("silence", Result([], no_speech_prob=0.9), True),
        ("speech that nothing is told of", Result([]), False),
        ("a word where several were spoken", Result([7], no_speech_prob=0.5), False),
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


GOOD, BAD = list(range(10, 22)), [7, 8, 9] * 12
FULL_FRAMES, SHORT_FRAMES = 3000, 560


class ShortSighted:
    """A stand-in for the model that repeats itself, and is unsure of the language, unless it gets the full window."""

    device = "cpu"

    def __init__(self) -> None:
        self.encoded: list[int] = []

    def encode(self, features: ctranslate2.StorageView, to_cpu: bool = False) -> ctranslate2.StorageView:  # noqa: ARG002
        self.encoded.append(features.shape[-1])
        return features

    def generate(self, encoded: ctranslate2.StorageView, prompts: Sequence[Any], **_: Any) -> list[Result]:
        return [Result(GOOD if encoded.shape[-1] == FULL_FRAMES else BAD) for _ in prompts]

    def detect_language(self, encoded: ctranslate2.StorageView) -> list[list[tuple[str, float]]]:
        return [[("<|en|>", 0.9) if encoded.shape[-1] == FULL_FRAMES else ("<|cy|>", 0.3)]]


def three_seconds() -> ctranslate2.StorageView:
    padded = np.zeros((1, 80, FULL_FRAMES), np.float32)
    padded[..., :300] = -0.5
    return ctranslate2.StorageView.from_array(padded)


@pytest.fixture
def short_sighted() -> ShortSighted:
    return ShortSighted()


def adaptive(model: ShortSighted) -> AdaptiveWindow:
    return AdaptiveWindow(BatchingModel(cast("Any", model), cast("Any", model), max_batch=8), shorten=True)


def test_what_is_not_believed_is_made_anew_in_the_full_window_and_counted(short_sighted: ShortSighted) -> None:
    model = adaptive(short_sighted)
    with model.caller(lambda: None, urgent=True) as windows:
        encoded = model.encode(three_seconds())
        heard = [model.generate(encoded, [[1, 2, 3, 4]], temperature=t)[0].sequences_ids[0] for t in (0.0, 0.2)]
    # The second temperature reuses the full window.
    assert (heard, short_sighted.encoded) == ([GOOD, GOOD], [SHORT_FRAMES, FULL_FRAMES])
    assert (windows.all, windows.short, windows.fallbacks, windows.kind) == (1, 1, 1, "full")


def test_an_unsure_language_is_asked_for_again_in_the_full_window(short_sighted: ShortSighted) -> None:
    model = adaptive(short_sighted)
    with model.caller(lambda: None, urgent=True):
        encoded = model.encode(three_seconds())
        assert model.detect_language(encoded) == [[("<|en|>", 0.9)]]
    assert short_sighted.encoded == [SHORT_FRAMES, FULL_FRAMES]
