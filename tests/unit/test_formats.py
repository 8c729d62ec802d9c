"""The text forms of a transcript."""

import pytest

from shared.transcripts.formats import ResultFormat, render
from shared.transcripts.transcript import Segment, Transcript


def transcript(*pieces: tuple[float, float, str]) -> Transcript:
    numbers = {"confidence": 1.0, "avg_logprob": 0.0, "no_speech_prob": 0.0, "compression_ratio": 1.0}
    segments = [Segment(id=i, start=s, end=e, text=t, **numbers) for i, (s, e, t) in enumerate(pieces)]  # type: ignore[arg-type]
    return Transcript(
        transcript=" ".join(t for _, _, t in pieces),
        language="en",
        language_probability=1.0,
        duration=10.0,
        segments=segments,
        preprocess_ms=0.0,
        transcribe_ms=1.0,
        model="m",
        model_revision="r",
        device="cpu",
    )


HOUR = transcript((0.0, 1.5, "hello"), (3599.9996, 3661.042, "an hour later"))


def test_srt() -> None:
    expected = "1\n00:00:00,000 --> 00:00:01,500\nhello\n\n2\n01:00:00,000 --> 01:01:01,042\nan hour later\n"
    assert render(ResultFormat.SRT, HOUR).strip() == expected.strip()


def test_vtt() -> None:
    text = render(ResultFormat.VTT, HOUR)
    assert text.startswith("WEBVTT\n\n") and "01:00:00.000 --> 01:01:01.042" in text


def test_tsv() -> None:
    assert render(ResultFormat.TSV, HOUR).splitlines() == [
        "start\tend\ttext",
        "0\t1500\thello",
        "3600000\t3661042\tan hour later",
    ]


def test_text_is_one_line_a_segment_or_a_space_between() -> None:
    assert render(ResultFormat.TEXT, HOUR).split() == ["hello", "an", "hour", "later"]


def test_what_would_break_a_form_is_kept_harmless() -> None:
    odd = transcript((0.0, 1.0, "a --> b\nc\td <i>"))
    assert render(ResultFormat.VTT, odd).count("-->") == 1
    assert len(render(ResultFormat.TSV, odd).strip().splitlines()) == 2
    assert render(ResultFormat.TSV, odd).strip().splitlines()[1].count("\t") == 2
    assert len(render(ResultFormat.SRT, odd).strip().split("\n\n")) == 1


@pytest.mark.parametrize("json_form", [ResultFormat.JSON, ResultFormat.VERBOSE_JSON])
def test_json_forms_are_made_elsewhere(json_form: ResultFormat) -> None:
    with pytest.raises(ValueError, match="not a text format"):
        render(json_form, HOUR)
