"""Languages in the forms in which people write them."""

import pytest
from faster_whisper.tokenizer import _LANGUAGE_CODES

from shared.transcripts.languages import LANGUAGES, language_code


def test_the_languages_are_whispers() -> None:
    assert set(LANGUAGES) == set(_LANGUAGE_CODES)


@pytest.mark.parametrize(
    ("written", "code"),
    [("en", "en"), ("EN", "en"), ("en-US", "en"), ("en_GB", "en"), ("english", "en"), ("German", "de"), ("zh-Hans-CN", "zh"),
     ("pt-BR", "pt"), ("yue", "yue"), ("jv", "jw"), ("nb-NO", "no"), ("mandarin", "zh"), (" fr ", "fr")],
)  # fmt: skip
def test_codes_tags_and_names_are_taken(written: str, code: str) -> None:
    assert language_code(written) == code


@pytest.mark.parametrize("written", ["", "klingon", "xx", "xx-US", "e", "en-", "english-us-and-more-than-that", "none"])
def test_anything_else_is_none(written: str) -> None:
    assert language_code(written) is None
