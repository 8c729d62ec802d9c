"""The sentences: natural English, fragments of it, and random draws from the vocabulary."""

import random
import zlib
from pathlib import Path

HERE = Path(__file__).parent


def vocabulary() -> list[str]:
    """The commonest English words, most frequent first."""
    return (HERE / "words.txt").read_text().split()


def natural_sentences() -> list[str]:
    """Every natural sentence that is trained on.

    The later files are trained on whole, so that the held-out sentences stay what they were; no line of the first two shares five
    words in a row with a held-out or an everyday test sentence. The definitions are phrases that hold the rarer words.
    """
    later = ("more_sentences.txt", "wordnet_more_examples.txt", "wordnet_definitions.txt")
    return [s for s in _all_natural() if not _held_out(s)] + [line for name in later for line in _lines(name)]


def held_out_sentences() -> list[str]:
    """Natural sentences of the same sources that are never trained on."""
    return [s for s in _all_natural() if _held_out(s)]


def _held_out(sentence: str) -> bool:
    """One sentence in fifty, by its own bytes, so that adding sentences moves none across."""
    return zlib.crc32(sentence.encode()) % 50 == 0


def random_draw(rng: random.Random, words: list[str], count: int) -> str:
    """`count` words, half of them by frequency rank, so that every word is heard in every neighbourhood."""
    common = words[:600]
    return " ".join(rng.choice(words if rng.random() < 0.65 else common) for _ in range(count))


def fragment(rng: random.Random, sentences: list[str], count: int) -> str:
    """`count` neighbouring words of a natural sentence."""
    tokens = rng.choice(sentences).split()
    start = rng.randint(0, max(0, len(tokens) - count))
    return " ".join(tokens[start : start + count])


def _all_natural() -> list[str]:
    return sorted({*_lines("sentences.txt"), *_lines("wordnet_examples.txt")})


def _lines(name: str) -> list[str]:
    return (HERE / name).read_text().splitlines()
