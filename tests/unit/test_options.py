"""Options: which are accepted, which are refused, and their canonical form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.jobs.options import Submission, TranscriptionOptions
from shared.transcripts.languages import LANGUAGES, language_code
from shared.transcripts.pieces import Piece
from worker.queue.leases import _options_of


def test_the_canonical_form_does_not_depend_on_how_it_was_written() -> None:
    explicit = Submission.model_validate({"vad": True, "language": "EN", "task": "transcribe", "beam_size": None, "prompt": ""})
    assert explicit.options().canonical() == Submission(language="en").options().canonical()


@pytest.mark.parametrize("change", [{"language": "de"}, {"task": "translate"}, {"beam_size": 1}, {"vad": False}, {"prompt": "x"},
                                    {"hotwords": "x"}, {"temperature": 0.0}, {"word_timestamps": True}])  # fmt: skip
def test_every_option_that_changes_the_transcript_changes_the_canonical_form(change: dict[str, object]) -> None:
    assert TranscriptionOptions.model_validate(change).canonical() != TranscriptionOptions().canonical()


@pytest.mark.parametrize("change", [{"priority": "batch"}, {"metadata": {"a": 1}}, {"deadline_seconds": 5}, {"model": "x"}])
def test_what_does_not_change_the_transcript_is_no_part_of_it(change: dict[str, object]) -> None:
    assert Submission.model_validate(change).options() == TranscriptionOptions()


@given(st.text(max_size=8))
def test_only_whispers_languages_are_taken(language: str) -> None:
    known = language_code(language) in LANGUAGES or language in ("", "auto")
    try:
        TranscriptionOptions(language=language)
    except ValidationError:
        assert not known
    else:
        assert known


def test_options_of_earlier_versions_are_written_as_earlier_versions_wrote_them() -> None:
    """During an upgrade, older workers read the records of newer gateways; they do not know new fields."""
    assert TranscriptionOptions(language="en").canonical() == (
        '{"language":"en","task":"transcribe","prompt":null,"hotwords":null,"beam_size":null,"temperature":null,'
        '"vad":true,"word_timestamps":false}'
    )


@pytest.mark.parametrize("change", [{"track": 2}, {"channels": "split"}, {"strict": True}, {"normalize": False},
                                    {"enhance": True}, {"vad": {"threshold": 0.6}}])  # fmt: skip
def test_options_come_back_as_they_were_written(change: dict[str, object]) -> None:
    options = TranscriptionOptions.model_validate(change)
    assert options != TranscriptionOptions()
    assert TranscriptionOptions.model_validate_json(options.canonical()) == options


def test_a_piece_of_a_default_job_is_written_as_earlier_versions_wrote_it() -> None:
    """Older workers also decode pieces that a newer worker has cut."""
    assert _options_of(Piece(0, 1000), TranscriptionOptions(language="en")) == TranscriptionOptions(language="en")
