"""What calibrate counts, and what it recommends."""

from collections.abc import Sequence

import numpy as np
import pytest

from shared.transcripts.transcript import EncoderWindow
from worker.calibrate.measuring import Configuration, Measured
from worker.calibrate.recordings import Recording
from worker.calibrate.report import other_words
from worker.calibrate.verdict import advice, recommended
from worker.calibrate.words import WordErrors, word_errors

SAID = "one two three four five six seven eight nine ten"


@pytest.mark.parametrize(
    ("right", "heard", "errors"),
    [
        ("Hello, World! It's me.", "hello world its me", WordErrors(0, 4)),
        ("one two three", "one three", WordErrors(1, 3)),
        ("one two", "one two three four", WordErrors(2, 2)),
        ("", "something else", WordErrors(2, 0)),
        ("one two", "", WordErrors(2, 2)),
        ("", " - ", WordErrors(0, 0)),
        ("今天天气", "今天天器。", WordErrors(1, 4)),
    ],
)
def test_words_are_compared_without_case_and_marks(right: str, heard: str, errors: WordErrors) -> None:
    assert word_errors(right, heard) == errors


def test_no_words_at_all_agree() -> None:
    assert (WordErrors(0, 0).agreement, WordErrors(0, 0).rate, WordErrors(3, 0).agreement) == (1.0, 0.0, 0.0)


def recordings(*references: str | None) -> list[Recording]:
    silence = np.zeros(16_000, np.float32)
    return [Recording(name=f"{n}.wav", samples=silence, reference=text) for n, text in enumerate(references)]


def measured(encoder: str, window: EncoderWindow, seconds: float, texts: Sequence[str] = (SAID,)) -> Measured:
    used = Configuration(encoder=encoder, precision="f32", window=window)
    return Measured(configuration=used, seconds=seconds, texts=list(texts))


FIRST = measured("ctranslate2", "full", 10.0)
TRIMMED = measured("openvino", "trimmed", 4.0)
ADAPTIVE = measured("openvino", "adaptive", 2.0)
WRONG = SAID.replace("five", "nine")


@pytest.mark.parametrize(
    ("why", "others", "references", "chosen"),
    [
        ("it is fast and hears the same", [measured("ctranslate2", "adaptive", 2.0)], (None,), 1),
        ("it hears other words", [measured("ctranslate2", "adaptive", 2.0, [WRONG])], (None,), 0),
        ("they are other words, but the right ones", [measured("ctranslate2", "adaptive", 2.0, [WRONG])], (WRONG,), 1),
        ("it is hardly faster", [measured("openvino", "full", 9.0)], (None,), 0),
        ("trimmed is close to adaptive and changes less", [ADAPTIVE, measured("openvino", "trimmed", 2.1)], (None,), 2),
        ("adaptive is much faster than trimmed", [TRIMMED, ADAPTIVE], (None,), 2),
        ("of two encoders the faster", [measured("ctranslate2", "adaptive", 2.1), ADAPTIVE], (None,), 2),
    ],
)
def test_the_recommendation(why: str, others: list[Measured], references: Sequence[str | None], chosen: int) -> None:
    order: list[EncoderWindow] = ["full", "trimmed", "adaptive"]
    rows = [FIRST, *others]
    in_order = sorted(rows, key=lambda one: (one is not FIRST, order.index(one.configuration.window)))
    assert recommended(in_order, recordings(*references)) is rows[chosen]


def test_the_advice_names_what_to_set_and_what_is_faster_but_worse() -> None:
    rows = [FIRST, measured("openvino", "trimmed", 5.0), measured("openvino", "adaptive", 2.0, [WRONG])]
    assert advice(rows, recordings(None)) == [
        "Recommended:",
        "  WHISPER_ENCODER=openvino",
        "  WHISPER_ENCODER_PRECISION=f32",
        "  WHISPER_ENCODER_WINDOW=trimmed",
        "2.0 times as fast; 100.0 % of the words agree.",
        "Faster, but not as accurate: openvino, adaptive.",
        "Only 10 words were compared: more audio gives a better answer.",
    ]


def test_the_advice_to_change_nothing() -> None:
    first = measured("ctranslate2", "full", 10.0, [SAID] * 30)
    assert advice([first], recordings(*[None] * 30))[-1] == "Nothing that hears as well is 1.2 times as fast."


def test_recordings_whose_words_differ_are_listed_the_worst_first_and_once() -> None:
    first = measured("ctranslate2", "full", 1.0, [SAID] * 3)
    other = measured("openvino", "full", 1.0, [SAID, WRONG, ""])
    same = measured("openvino", "trimmed", 1.0, [SAID, WRONG, SAID])
    assert other_words([first, other, same], recordings(None, None, None)) == [
        "  2.wav: 0.0 % (openvino, full)",
        "  1.wav: 90.0 % (openvino, full)",
    ]
