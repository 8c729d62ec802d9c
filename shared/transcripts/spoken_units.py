"""Splits a text into units, so that two transcripts can be compared: words, or characters in scripts without spaces."""

import unicodedata

#: Scripts without spaces between words, by code points: Thai, Lao, Tibetan, Myanmar, Khmer, kana, bopomofo, Han.
#: Korean has spaces. (Whisper's tokenizer splits such languages into characters, too: zh, ja, th, lo, my, yue.)
_WITHOUT_SPACES = (
    (0x0E00, 0x0FFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x3005, 0x3007),
    (0x3040, 0x30FF),
    (0x3100, 0x312F),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xA9E0, 0xA9FF),
    (0xAA60, 0xAA7F),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),
    (0x20000, 0x3FFFF),
)


def units_of(text: str) -> list[str]:
    """The units of a text, each with the space before it and the marks after it. Joined together they are the text."""
    units: list[str] = []
    for character in text:
        if not units or _begins_unit(units[-1], character):
            units.append(character)
        else:
            units[-1] += character
    if len(units) > 1 and units[-1].isspace():
        units[-2:] = ["".join(units[-2:])]
    return units


def bare(unit: str) -> str:
    """A unit in the form for comparison: without case and marks. A unit of marks alone keeps its marks."""
    letters = "".join(character for character in unit if character.isalnum() or unicodedata.combining(character))
    return letters.casefold() or unit.strip()


def _begins_unit(unit: str, character: str) -> bool:
    """Whether `character` begins a new unit after `unit`."""
    if unit.isspace():
        return False
    if character.isspace():
        return True
    if not character.isalnum():
        # Marks, vowel signs and punctuation belong to the character before them.
        return False
    return _stands_alone(character) or any(map(_stands_alone, unit))


def _stands_alone(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in _WITHOUT_SPACES)
