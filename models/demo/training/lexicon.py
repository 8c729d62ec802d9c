"""How words sound, by espeak-ng's own dictionary: targets of the second auxiliary loss.

English spelling hides much of the sound; a target that is the sound teaches the encoder in a fraction of the time.
"""

import json
import re
import subprocess
from pathlib import Path

#: Room for espeak-ng's American English phonemes (about 60), blank not counted.
MAX_PHONEMES = 80


class Lexicon:
    """Phoneme numbers (1..) of words; the numbering is kept in a file, so that a resumed training means the same."""

    def __init__(self, words: set[str], path: Path) -> None:
        sounds = _pronounce(sorted(words))
        symbols = json.loads(path.read_text()) if path.exists() else sorted({p for sound in sounds.values() for p in sound})
        path.write_text(json.dumps(symbols))
        assert len(symbols) <= MAX_PHONEMES, symbols
        numbers = {symbol: i + 1 for i, symbol in enumerate(symbols)}
        self._words = {word: [numbers[p] for p in sound if p in numbers] for word, sound in sounds.items()}

    def __call__(self, sentence: str) -> list[int]:
        """The phonemes of a sentence, word by word."""
        return [p for word in sentence.split() for p in self._words[word]]


def _pronounce(words: list[str]) -> dict[str, list[str]]:
    """Each word by itself: an empty line between two words makes them two clauses, and so two lines of output."""
    command = ["espeak-ng", "-q", "-x", "--sep=_", "-v", "en-us"]
    out = subprocess.run(command, input="\n\n".join(words), capture_output=True, text=True, check=True, timeout=300).stdout
    lines = [line for line in out.splitlines() if line.strip()]
    assert len(lines) == len(words), (len(lines), len(words))
    return {
        w: [p for p in re.sub(r"[',%=|]", "", line).replace(" ", "_").split("_") if p]
        for w, line in zip(words, lines, strict=True)
    }
