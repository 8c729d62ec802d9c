"""How a short window is made, what the decoder gets of it, and what becomes of a result that is not believed."""

from collections.abc import Sequence
from typing import Any, cast

import ctranslate2
import numpy as np
import pytest

from shared.transcripts.transcript import EncoderWindow
from tests.spoken import Spoken
from worker.model.batching import BatchingModel
from worker.model.encoder_window import SIZES, ShortWindowModel, WindowCounts, content_frames, short_size

GOOD, BAD = list(range(10, 22)), [7, 8, 9] * 12
FULL_FRAMES, FULL_POSITIONS, SHORT_POSITIONS = 3000, 1500, 280
WIDTH = 8


@pytest.mark.parametrize("frames", [0, 1, 317, 3000])
def test_content_ends_where_the_padding_begins(frames: int) -> None:
    padded = np.zeros((1, 80, 3000), np.float32)
    padded[..., :frames] = -0.5
    assert content_frames(padded) == frames


@pytest.mark.parametrize(
    ("content", "size"), [(0, 280), (304, 280), (305, 400), (544, 400), (1744, 1000), (1745, None), (FULL_FRAMES, None)]
)
def test_a_size_holds_the_content_and_the_margin(content: int, size: int | None) -> None:
    assert short_size(content, FULL_FRAMES) == size


def test_a_model_with_small_windows_has_smaller_sizes_only() -> None:
    assert short_size(100, 2 * SIZES[1]) == SIZES[0]
    assert short_size(500, 2 * SIZES[1]) is None


@pytest.mark.parametrize("short", ["trimmed", "adaptive"])
def test_the_result_says_which_windows_it_came_from(short: EncoderWindow) -> None:
    kinds = {(1, 0, 0): "full", (1, 1, 0): short, (2, 1, 0): "mixed", (1, 1, 1): "full", (3, 2, 1): "mixed"}
    assert {counts: WindowCounts(short, *counts).kind for counts in kinds} == kinds


class ShortSighted:
    """A stand-in for the model that repeats itself, and is unsure of the language, unless it gets the full window.

    Each position of its encoding holds the position's number.
    """

    device = "cpu"

    def __init__(self) -> None:
        #: The positions of each window that it encoded, decoded, asked for its language, and aligned.
        self.encoded: list[int] = []
        self.decoded: list[int] = []
        self.asked: list[int] = []
        self.aligned: list[int] = []

    def encode(self, features: ctranslate2.StorageView, to_cpu: bool = False) -> ctranslate2.StorageView:  # noqa: ARG002
        self.encoded.append(features.shape[-1] // 2)
        numbers = np.arange(features.shape[-1] // 2, dtype=np.float32)
        return ctranslate2.StorageView.from_array(np.repeat(numbers, WIDTH).reshape(1, -1, WIDTH))

    def generate(self, encoded: ctranslate2.StorageView, prompts: Sequence[Any], **_: Any) -> list[Spoken]:
        self.decoded.append(_positions(encoded))
        return [Spoken(GOOD if encoded.shape[1] == FULL_POSITIONS else BAD) for _ in prompts]

    def detect_language(self, encoded: ctranslate2.StorageView) -> list[list[tuple[str, float]]]:
        self.asked.append(_positions(encoded))
        return [[("<|en|>", 0.9) if encoded.shape[1] == FULL_POSITIONS else ("<|cy|>", 0.3)]]

    def align(self, encoded: ctranslate2.StorageView) -> None:
        self.aligned.append(_positions(encoded))


class FarSighted(ShortSighted):
    """A stand-in for the model that hears short windows well."""

    def generate(self, encoded: ctranslate2.StorageView, prompts: Sequence[Any], **_: Any) -> list[Spoken]:
        self.decoded.append(_positions(encoded))
        return [Spoken(GOOD) for _ in prompts]


def _positions(encoded: ctranslate2.StorageView) -> int:
    """How many positions there are. They must be the first ones of the window, all of them."""
    positions = [int(position) for position in np.asarray(encoded)[0, :, 0]]
    assert positions == list(range(len(positions)))
    return len(positions)


def three_seconds() -> ctranslate2.StorageView:
    padded = np.zeros((1, 80, FULL_FRAMES), np.float32)
    padded[..., :300] = -0.5
    return ctranslate2.StorageView.from_array(padded)


def windowed(model: ShortSighted, kind: EncoderWindow) -> ShortWindowModel:
    return ShortWindowModel(BatchingModel(cast("Any", model), cast("Any", model), max_batch=8), kind)


def heard(model: ShortWindowModel, temperatures: Sequence[float] = (0.0,)) -> tuple[list[list[int]], WindowCounts]:
    """What the model says of a clip of three seconds at each temperature, and the counts of its windows."""
    with model.caller(lambda: None, urgent=True) as counts:
        encoded = model.encode(three_seconds())
        said = [model.generate(encoded, [[1, 2, 3, 4]], temperature=t)[0].sequences_ids[0] for t in temperatures]
        model.align(encoded)
    return said, counts


@pytest.mark.parametrize(
    ("kind", "encoded", "decoded"),
    [
        ("full", FULL_POSITIONS, FULL_POSITIONS),
        ("trimmed", FULL_POSITIONS, SHORT_POSITIONS),
        ("adaptive", SHORT_POSITIONS, SHORT_POSITIONS),
    ],
)
def test_what_encoder_and_decoder_get(kind: EncoderWindow, encoded: int, decoded: int) -> None:
    model = FarSighted()
    said, counts = heard(windowed(model, kind))
    assert (said, model.encoded, model.decoded, model.aligned) == ([GOOD], [encoded], [decoded], [decoded])
    assert (counts.kind, counts.all, counts.short, counts.fallbacks) == (kind, 1, int(kind != "full"), 0)


@pytest.mark.parametrize(("kind", "encoded"), [("trimmed", [FULL_POSITIONS]), ("adaptive", [SHORT_POSITIONS, FULL_POSITIONS])])
def test_what_is_not_believed_is_decoded_again_in_the_full_window_and_counted(kind: EncoderWindow, encoded: list[int]) -> None:
    model = ShortSighted()
    said, counts = heard(windowed(model, kind), temperatures=(0.0, 0.2))
    # The second temperature and the search for words use the full window, too.
    assert (said, model.encoded) == ([GOOD, GOOD], encoded)
    assert (model.decoded, model.aligned) == ([SHORT_POSITIONS, FULL_POSITIONS, FULL_POSITIONS], [FULL_POSITIONS])
    assert (counts.all, counts.short, counts.fallbacks, counts.kind) == (1, 1, 1, "full")


def test_an_unsure_language_is_asked_for_again_in_the_full_window() -> None:
    short_sighted = ShortSighted()
    model = windowed(short_sighted, "adaptive")
    with model.caller(lambda: None, urgent=True):
        encoded = model.encode(three_seconds())
        assert model.detect_language(encoded) == [[("<|en|>", 0.9)]]
    assert short_sighted.encoded == short_sighted.asked == [SHORT_POSITIONS, FULL_POSITIONS]


def test_a_trimmed_window_has_the_language_of_the_full_one() -> None:
    short_sighted = ShortSighted()
    model = windowed(short_sighted, "trimmed")
    with model.caller(lambda: None, urgent=True):
        assert model.detect_language(model.encode(three_seconds())) == [[("<|en|>", 0.9)]]
    assert (short_sighted.encoded, short_sighted.asked) == ([FULL_POSITIONS], [FULL_POSITIONS])


@pytest.mark.parametrize("kind", ["full", "trimmed", "adaptive"])
def test_a_window_whose_language_was_detected_is_not_encoded_again(kind: EncoderWindow) -> None:
    far_sighted = FarSighted()
    model = windowed(far_sighted, kind)
    with model.caller(lambda: None, urgent=True) as counts:
        for _ in range(2):
            encoded = model.encode(three_seconds())
        model.generate(encoded, [[1, 2, 3, 4]])
    assert (len(far_sighted.encoded), counts.all) == (1, 1)
    with model.caller(lambda: None, urgent=True):
        model.encode(three_seconds())
    assert len(far_sighted.encoded) == 2
