"""Compares what was heard with what should have been heard, word by word.

Case, punctuation and other marks do not count: words are compared as `shared.transcripts.spoken_units` bares them. In scripts
without spaces, characters are compared instead of words.
"""

from dataclasses import dataclass

import jiwer

from shared.transcripts.spoken_units import bare, units_of


@dataclass(frozen=True)
class WordErrors:
    """A count of word errors (left out, put in or replaced) and of the words that were said. Counts can be added."""

    wrong: int = 0
    words: int = 0

    def __add__(self, other: "WordErrors") -> "WordErrors":
        return WordErrors(self.wrong + other.wrong, self.words + other.words)

    @property
    def rate(self) -> float:
        """The word error rate. Where no word is right, each word heard counts as one of one."""
        return self.wrong / max(1, self.words)

    @property
    def agreement(self) -> float:
        """The share of words that agree, between 0 and 1."""
        return max(0.0, 1 - self.rate)


def word_errors(right: str, heard: str) -> WordErrors:
    """Compare a text with the right one."""
    expected, got = _bare_words(right), _bare_words(heard)
    if not expected:
        return WordErrors(len(got), 0)
    counts = jiwer.process_words(" ".join(expected), " ".join(got))
    return WordErrors(counts.substitutions + counts.deletions + counts.insertions, len(expected))


def _bare_words(text: str) -> list[str]:
    words = [bare(unit) for unit in units_of(text)]
    return [word for word in words if any(character.isalnum() for character in word)]
