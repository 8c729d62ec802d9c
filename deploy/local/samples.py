"""The committed sample clips, and how right a transcript of them is."""

import json
from dataclasses import dataclass
from pathlib import Path

import jiwer

CLIPS = Path(__file__).resolve().parent.parent.parent / "models" / "demo" / "clips"
#: What the demo transcribes: everyday sentences by voices that the model knows.
KIND, FEW = "everyday", 8

_PLAIN_WORDS = jiwer.Compose(
    [
        jiwer.ToLowerCase(),
        jiwer.RemovePunctuation(),  # type: ignore[no-untyped-call] # jiwer left this one untyped
        jiwer.RemoveMultipleSpaces(),
        jiwer.Strip(),
        jiwer.ReduceToListOfListOfWords(),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A clip and what is said in it."""

    path: Path
    text: str


def samples() -> list[Sample]:
    """A few of the committed clips."""
    index = json.loads(CLIPS.joinpath("transcripts.json").read_text(encoding="utf-8"))
    names = [name for name, entry in index.items() if entry["kind"] == KIND][:FEW]
    return [Sample(path=CLIPS / name, text=index[name]["text"]) for name in names]


def word_error_rate(said: list[str], heard: list[str]) -> float:
    """Wrong, missing and invented words per word said, over all pairs; case and punctuation do not count."""
    return float(jiwer.wer(said, heard, reference_transform=_PLAIN_WORDS, hypothesis_transform=_PLAIN_WORDS))
