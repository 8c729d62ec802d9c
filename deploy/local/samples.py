"""The committed sample clips, and the word error rate of their transcripts."""

import json
from dataclasses import dataclass
from pathlib import Path

import jiwer

CLIPS = Path(__file__).resolve().parent.parent.parent / "models" / "demo" / "clips"
#: The demo transcribes the first FEW clips of this kind: everyday sentences, spoken by voices that the demo model knows.
KIND, FEW = "everyday", 8

_PLAIN_WORDS = jiwer.Compose(
    [
        jiwer.ToLowerCase(),
        jiwer.RemovePunctuation(),  # type: ignore[no-untyped-call] # jiwer declares no types for this one
        jiwer.RemoveMultipleSpaces(),
        jiwer.Strip(),
        jiwer.ReduceToListOfListOfWords(),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A clip and the text that is spoken in it."""

    path: Path
    text: str


def samples() -> list[Sample]:
    """The clips that the demo transcribes."""
    index = json.loads(CLIPS.joinpath("transcripts.json").read_text(encoding="utf-8"))
    names = [name for name, entry in index.items() if entry["kind"] == KIND][:FEW]
    return [Sample(path=CLIPS / name, text=index[name]["text"]) for name in names]


def word_error_rate(said: list[str], heard: list[str]) -> float:
    """The number of wrong, missing and invented words per spoken word, over all pairs. Case and punctuation do not count."""
    return float(jiwer.wer(said, heard, reference_transform=_PLAIN_WORDS, hypothesis_transform=_PLAIN_WORDS))
