"""Speak the test sets: `python testsets.py OUT` writes wav files and `OUT/sets.json`; `--clips` writes the committed samples.

Sets: `own` (sentences of the corpus' sources that were never trained on, trained voices), `everyday` (sentences written
by somebody else, trained voices), `held_out` (the same by voices never heard), `joined` (25 s with pauses, true times).
"""

import argparse
import json
import random
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

import text
from voices import SAMPLE_RATE_HZ, Voice, held_out_voice, trained_voice

SEED = 20_261_123


def everyday() -> list[str]:
    """Sentences by a writer who saw neither the corpus nor the word list."""
    return (Path(__file__).parent / "everyday_test.txt").read_text().splitlines()


def spoken(voice: Voice, sentence: str) -> NDArray[np.float32]:
    """As a user's recording: a little silence around, a usual level, quiet noise."""
    samples = voice.say(sentence)
    samples = np.pad(samples * (0.5 / np.abs(samples).max()), int(0.2 * SAMPLE_RATE_HZ))
    noise = np.random.default_rng(len(samples)).normal(0, 0.001, len(samples))
    return (samples + noise).astype(np.float32)


def joined(rng: random.Random, sentences: list[str]) -> tuple[NDArray[np.float32], list[tuple[float, float, str]]]:
    """About 25 s of one voice with pauses of 0.5-1.2 s, and the true segments."""
    voice = trained_voice(rng)
    parts, segments, position = [np.zeros(4800, np.float32)], [], 0.3
    while position < 21.5:
        sentence = rng.choice(sentences)
        samples = voice.say(sentence)
        segments.append((round(position, 3), round(position + len(samples) / SAMPLE_RATE_HZ, 3), sentence))
        pause = np.zeros(int(rng.uniform(0.5, 1.2) * SAMPLE_RATE_HZ), np.float32)
        parts += [samples * np.float32(0.5 / np.abs(samples).max()), pause]
        position += (len(samples) + len(pause)) / SAMPLE_RATE_HZ
    whole = np.concatenate(parts)
    return (whole + np.random.default_rng(1).normal(0, 0.001, len(whole))).astype(np.float32), segments


def write(out: Path, entries: dict[str, dict[str, object]], name: str, samples: NDArray[np.float32], **entry: object) -> None:
    soundfile.write(out / name, samples, SAMPLE_RATE_HZ, subtype="PCM_16")
    entries[name] = entry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--clips", action="store_true", help="few, for the repository")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    rng = random.Random(SEED + args.clips)
    own, daily, entries = text.held_out_sentences(), everyday(), dict[str, dict[str, object]]()
    sizes = (
        {"own": 8, "everyday": 14, "held_out": 5, "joined": 1}
        if args.clips
        else {"own": 150, "everyday": 160, "held_out": 160, "joined": 12}
    )
    for kind, sentences, voice in (
        ("own", own, trained_voice),
        ("everyday", daily, trained_voice),
        ("held_out", daily, held_out_voice),
    ):
        for number, sentence in enumerate(rng.sample(sentences, sizes[kind])):
            write(args.out, entries, f"{kind}_{number:03d}.wav", spoken(voice(rng), sentence), text=sentence, kind=kind)
    for number in range(sizes["joined"]):
        samples, segments = joined(rng, daily)
        sentence = " ".join(s for _, _, s in segments)
        write(args.out, entries, f"joined_{number:03d}.wav", samples, text=sentence, kind="joined", segments=segments)
    (args.out / ("transcripts.json" if args.clips else "sets.json")).write_text(json.dumps(entries, indent=1) + "\n")


if __name__ == "__main__":
    main()
